package handover_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// worlds runs body on every kernel whose sockets have numbers.
func worlds(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			k := w.Alone().Open(t)
			_, ok := kernel.As[kernel.Descriptors](k)
			k.Close()
			if !ok {
				t.Skip("no descriptors")
			}
			leaktest.KeepsDescriptors(t)
			body(t, w)
		})
	}
}

// socketPath is a path at which nothing is.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "whorl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// liner answers each line with its program's name before it. Its state is the unfinished line.
type liner struct {
	reactor.Base
	p    *program
	rest []byte
	lost error
}

func (l *liner) DataReceived(p []byte) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return
		}
		fmt.Fprintf(l.T, "%s:%s\n", l.p.name, l.rest[:i])
		l.rest = l.rest[i+1:]
	}
}

func (l *liner) ConnectionLost(err error) { l.lost = err }

// Drain closes the connection.
func (l *liner) Drain() { l.T.Close() }

func (l *liner) Handover() ([]byte, error) { return l.rest, l.p.stay }

// program is one of the two programs, on a reactor of the test.
type program struct {
	t    *testing.T
	name string
	r    *reactor.Reactor
	path string
	at   []kernel.Addr // where it listens
	cfg  handover.TakeConfig
	give handover.OfferConfig

	ports    []*reactor.Port
	more     []handover.Offered
	built    []*liner
	stay     error // of Handover
	refuse   error // of Resume
	resumed  int
	onResume func()
	log      bytes.Buffer
	offering *handover.Offering
	taking   *handover.Taking
	handed   *handover.Handed
	failed   error // of the Taking
	gaveUp   error // of the Offering
	stopped  bool
	done     bool
	err      error // of Stopped or Done
}

func (p *program) BuildProtocol(kernel.Addr) reactor.Protocol {
	l := &liner{p: p}
	p.built = append(p.built, l)
	return l
}

func (p *program) Resume(state []byte, _ kernel.Addr) (reactor.Protocol, error) {
	if p.refuse != nil {
		return nil, p.refuse
	}
	p.resumed++
	if p.onResume != nil {
		p.onResume()
	}
	l := &liner{p: p, rest: state}
	p.built = append(p.built, l)
	return l, nil
}

func (p *program) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(&p.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// newProgram makes a program that is to listen at addresses.
func newProgram(t *testing.T, w testworld.World, name, path string, at ...kernel.Addr) *program {
	t.Helper()
	p := &program{t: t, name: name, path: path, at: at}
	p.r = w.New(t, reactor.Config{})
	return p
}

// listen opens the places.
func (p *program) listen() {
	p.t.Helper()
	for _, a := range p.at {
		o := &reactor.ListenConfig{}
		if a.Net == kernel.UNIX {
			o.UNIX.Lock = true
		}
		port, err := p.r.Listen(a, p, o)
		if err != nil {
			p.t.Fatal(err)
		}
		p.ports = append(p.ports, port)
	}
}

// offer offers the places.
func (p *program) offer() {
	p.t.Helper()
	c := p.give
	c.Sockets = func() (all []handover.Offered) {
		for i, port := range p.ports {
			all = append(all, handover.Offered{Name: fmt.Sprint("place", i), Port: port})
		}
		return append(all, p.more...)
	}
	c.Handed = func(h handover.Handed) { p.handed = &h }
	c.Failed = func(err error) { p.gaveUp = err }
	c.Taking, c.Logger = p.taking, p.logger()
	o, err := handover.Offer(p.r, p.path, c)
	if err != nil {
		p.t.Fatal(err)
	}
	p.offering = o
}

// take takes the places from a predecessor, and then offers them.
func (p *program) take() {
	c := p.cfg
	if c.Offered == nil {
		c.Offered = func(t *handover.Taking) { p.listen(); t.Ready() }
	}
	c.Failed = func(err error) { p.failed = err }
	c.Stopped = func(_ *handover.Taking, err error) { p.stopped, p.err = true, err; p.offer() }
	c.Done = func(err error) { p.done, p.err = true, errors.Join(p.err, err) }
	c.Logger = p.logger()
	p.taking = handover.Take(p.r, p.path, c)
}

// caller is a client that collects what it gets.
type caller struct {
	reactor.Base
	got  bytes.Buffer
	made bool
	lost error
}

func (c *caller) ConnectionMade(t reactor.Transport) { c.Base.ConnectionMade(t); c.made = true }
func (c *caller) DataReceived(p []byte)              { c.got.Write(p) }
func (c *caller) ConnectionLost(err error)           { c.lost = err }

// call connects a client.
func call(r *reactor.Reactor, a kernel.Addr) *caller {
	c := new(caller)
	r.Dial(a, reactor.One(c), nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			c.lost = err
		}
	})
	return c
}

// loopback is a free port of 127.0.0.1.
func loopback() kernel.Addr { return kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0) }
