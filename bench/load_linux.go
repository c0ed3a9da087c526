package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loadSpec holds the parameters of a load generator.
type loadSpec struct {
	Addr        string // of the server
	PID         int    // of the server
	Kind        string
	Conns       int
	Size        int // bytes of a message
	Outstanding int
	Timeout     time.Duration // it is a failure if nothing comes back for so long
	Spin        bool          // poll without waiting: the generator has its own CPU
	TLS         bool
	Resume      bool // sessions, with TLS
}

// command is one line that a load generator reads.
type command struct {
	Do      string // "slice", or for idle connections "open", "touch"
	Warm    time.Duration
	Measure time.Duration
}

// answer is what a load generator writes after each command, and once when it is ready.
type answer struct {
	Error    string `json:",omitempty"`
	Messages int64
	Seconds  float64
	CPU      float64 // seconds of the server's CPU clock
	P50, P99 float64 // microseconds of a round trip
}

// generator is one kind of load on one server.
type generator interface {
	// open is called first, and once.
	open() error
	// slice loads the server for a while. At the end nothing is outstanding.
	slice(warm, measure time.Duration) (answer, error)
	// touch uses every connection once.
	touch() error
}

// load runs a load generator process until in ends.
func load(spec string, in io.Reader, out io.Writer) error {
	var o loadSpec
	if err := json.Unmarshal([]byte(spec), &o); err != nil {
		return err
	}
	raiseFileLimit()
	if !o.TLS {
		debug.SetGCPercent(-1) // there is hardly any garbage, and a pause would disturb
	}
	g, err := newGenerator(o)
	if err != nil {
		return err
	}
	say := json.NewEncoder(out)
	report := func(a answer, err error) {
		if err != nil {
			a = answer{Error: err.Error()}
		}
		_ = say.Encode(a)
	}
	if o.Kind != kindIdle {
		report(answer{}, g.open())
	} else {
		report(answer{}, nil)
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		switch c.Do {
		case "open":
			report(answer{}, g.open())
		case "touch":
			report(answer{}, g.touch())
		default:
			report(g.slice(c.Warm, c.Measure))
		}
	}
	return nil
}

func newGenerator(o loadSpec) (generator, error) {
	to, err := netip.ParseAddrPort(o.Addr)
	if err != nil {
		return nil, err
	}
	if !to.Addr().Is4() || !to.Addr().IsLoopback() {
		return nil, fmt.Errorf("%v is not an IPv4 loopback address", to)
	}
	b := base{loadSpec: o, pattern: newPattern(), buf: make([]byte, maxChunk), events: make([]unix.EpollEvent, 1024), start: time.Now()}
	b.to = unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	if b.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if o.TLS {
		b.tls = clientTLS(o.Resume)
	}
	switch o.Kind {
	case kindEcho:
		return &echoLoad{base: b}, nil
	case kindChurn:
		return &churnLoad{base: b}, nil
	case kindStorm:
		return &stormLoad{churnLoad{base: b}}, nil
	case kindIdle:
		return &idleLoad{base: b}, nil
	}
	return nil, fmt.Errorf("unknown kind of load %q", o.Kind)
}

// base is embedded in all generators.
type base struct {
	loadSpec
	to      unix.SockaddrInet4
	tls     *tls.Config // nil: no TLS
	ep      int
	events  []unix.EpollEvent
	buf     []byte
	pattern []byte
	start   time.Time
	span    span
}

const maxChunk = 256 << 10 // bytes of one read or write

// now is the time since the generator began.
func (b *base) now() time.Duration { return time.Since(b.start) }

// period is the length of the byte sequence that is sent over and over. It is prime, so
// that no message size divides it.
const period = 49999

// newPattern returns the sequence, repeated so often that a chunk may begin anywhere in
// the first period.
func newPattern() []byte {
	p := make([]byte, period+maxChunk)
	r := rand.New(rand.NewPCG(7, 11))
	for i := range period {
		p[i] = byte(r.Uint32())
	}
	for i := period; i < len(p); i += copy(p[i:], p[:period]) {
	}
	return p
}

// originOf returns where in the pattern connection number n begins. It differs between
// connections, so that bytes of another connection are noticed.
func originOf(n int64) int64 { return n * 12347 % period }

// wait returns the events that are ready, or none.
func (b *base) wait() ([]unix.EpollEvent, error) {
	if b.Spin {
		n, _, e := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(b.ep), uintptr(unsafe.Pointer(&b.events[0])), uintptr(len(b.events)), 0, 0, 0)
		if e != 0 && e != unix.EINTR {
			return nil, os.NewSyscallError("epoll_wait", e)
		}
		if e != 0 {
			n = 0
		}
		return b.events[:n], nil
	}
	n, err := unix.EpollWait(b.ep, b.events, 20)
	if err != nil && err != unix.EINTR {
		return nil, os.NewSyscallError("epoll_wait", err)
	}
	return b.events[:max(n, 0)], nil
}
