package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// serverSpec configures a server process.
type serverSpec struct {
	Kernel       string
	Address      string        // of all ports; "": 127.0.0.1
	Refuse       string        // "nil": the factory refuses everybody; "panic": it panics
	Files        int           // the limit on descriptors; 0: the usual one
	CloseTimeout time.Duration // 0: the default
	PerPeer      int           // tlsio's MaxPendingPerPeer
	Loops        int           // 0: one. The figures are those of the first
	SendBuffer   int           // of the system, for each connection; 0: the system decides
	KeepAlive    bool
	TLS          *keyPair // nil: no TLS
}

// serverHello is the first line that a server prints.
type serverHello struct {
	Main string // the port of sessions
	Echo string // the port of bystanders
	TLS  string // sessions over TLS
}

// serverStats are the figures of a server.
type serverStats struct {
	Streams, Sources, Files int
	Verbs                   string // of the sessions
	Heap                    uint64 // after a collection
	Goroutines              int
	Reactor                 reactor.Stats
	TLS                     tlsio.Stats
	Late                    time.Duration // the longest stall since the figures were last taken
}

// service is a running server.
type service struct {
	spec serverSpec
	r    *reactor.Reactor
	due  time.Duration
	late time.Duration
	call reactor.DelayedCall
}

// serve runs a server process, whose standard input controls it. It ends with that, or by a
// signal.
func serve(text string) error {
	s := &service{}
	if err := json.Unmarshal([]byte(text), &s.spec); err != nil {
		return err
	}
	if n := uint64(s.spec.Files); n > 0 {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}); err != nil {
			return err
		}
	}
	if r, w, err := os.Pipe(); err == nil { // the runtime's own descriptors, which it opens late
		r.Close()
		w.Close()
	}
	if s.spec.Address == "" {
		s.spec.Address = "127.0.0.1"
	}
	place := "tcp:0:interface=" + s.spec.Address
	if s.spec.KeepAlive {
		place += ":keepalive=yes:keepidle=1:keepinterval=1:keepcount=2" // a silent peer is given up within seconds
	}
	if s.spec.SendBuffer > 0 {
		place += fmt.Sprintf(":sndbuf=%d", s.spec.SendBuffer)
	}
	c := whorl.Config{
		Kernel: s.spec.Kernel, Loops: max(1, s.spec.Loops), Grace: grace, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Stream: reactor.StreamConfig{CloseTimeout: s.spec.CloseTimeout}, Started: s.started,
	}
	return c.Serve(context.Background(), s.factory(), place)
}

func (s *service) factory() reactor.Factory {
	switch s.spec.Refuse {
	case "nil":
		return reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil })
	case "panic":
		return reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { panic("refused") })
	}
	return reactor.Each[session]()
}

// started opens the other ports, and tells the parent where they are.
func (s *service) started(r *reactor.Reactor, open []endpoint.Listener) {
	s.r = r
	hello := serverHello{Main: open[0].Addr().String()}
	var err error
	hello.Echo, err = s.listen(reactor.Each[echo]())
	if err == nil && s.spec.TLS != nil {
		var pair tls.Certificate
		if pair, err = tls.X509KeyPair(s.spec.TLS.Cert, s.spec.TLS.Key); err == nil {
			hello.TLS, err = s.listen(tlsio.Server(&tls.Config{Certificates: []tls.Certificate{pair}}, reactor.Each[session](),
				&tlsio.Options{MaxPendingPerPeer: s.spec.PerPeer}))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s.call.Init(r, s.beat)
	s.beat()
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(hello)
	go s.control(out)
}

func (s *service) listen(f reactor.Factory) (string, error) {
	at := kernel.TCPAddr(netip.MustParseAddr(s.spec.Address), 0)
	p, err := s.r.Listen(at, f, nil)
	if err != nil {
		return "", err
	}
	return p.Addr().String(), nil
}

// beat is called every millisecond, and measures how late.
func (s *service) beat() {
	now := s.r.Now()
	if s.due > 0 {
		s.late = max(s.late, now-s.due)
	}
	s.due = now + time.Millisecond
	s.call.Reset(time.Millisecond)
}

// control answers each line of the standard input with figures. The end of the input ends
// the process.
func (s *service) control(out *json.Encoder) {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		st, err := reactor.Ask(s.r, s.stats)
		if err != nil {
			return // it is ending, and its status says how
		}
		if in.Text() == "memory" {
			runtime.GC()
			runtime.GC() // the second one frees what the first one finalized
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		st.Heap, st.Goroutines = m.HeapAlloc, runtime.NumGoroutine()
		files, _ := os.ReadDir("/proc/self/fd")
		st.Files = len(files)
		_ = out.Encode(st)
	}
	os.Exit(0)
}

func (s *service) stats() (st serverStats, _ error) {
	verbs := make(map[string]int)
	for c := range s.r.Streams() {
		st.Streams++
		if on, ok := c.Protocol().(*session); ok {
			verbs["verb "+on.verb]++
		}
	}
	st.Verbs = fmt.Sprint(verbs)
	st.Reactor = s.r.Stats()
	st.Sources = st.Reactor.Sources
	if s.spec.TLS != nil {
		st.TLS = tlsio.StatsOf(s.r)
	}
	st.Late, s.late = s.late, 0
	return st, nil
}

// echo is the protocol of bystanders.
type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { e.T.Write(p) }

func (e *echo) Drain() { e.T.Close() }
