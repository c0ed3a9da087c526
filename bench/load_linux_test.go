package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestMain makes the test binary a server, a load generator or a simulation, as the
// program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && (os.Args[1] == "serve" || os.Args[1] == "load" || os.Args[1] == "sim") {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// listen serves each connection with handle, and returns the address. cfg is for TLS; nil
// means none.
func listen(t *testing.T, cfg *tls.Config, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if cfg != nil {
		l = tls.NewListener(l, cfg)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				handle(c)
			}()
		}
	}()
	return l.Addr().String()
}

// bad are servers with one fault each. The faults come after some correct bytes; the
// counts are of one connection.
var bad = []struct {
	name   string
	handle func(net.Conn)
	want   error
}{
	{"changes a bit", func(c net.Conn) {
		echoBut(c, func(at int, p []byte) []byte {
			if at <= 40 && 40 < at+len(p) {
				p[40-at] ^= 4
			}
			return p
		})
	}, errWrong},
	{"swaps two bytes", func(c net.Conn) {
		echoBut(c, func(at int, p []byte) []byte {
			if at == 0 {
				p[1], p[2] = p[2], p[1]
			}
			return p
		})
	}, errWrong},
	{"says too much", func(c net.Conn) {
		echoBut(c, func(_ int, p []byte) []byte { return append(p, p...) })
	}, errTooMuch},
	{"swallows a byte", func(c net.Conn) {
		echoBut(c, func(at int, p []byte) []byte {
			if at == 0 {
				return p[:len(p)-1]
			}
			return p
		})
	}, errStalled},
	{"says nothing", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, errStalled},
	{"hangs up", func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 64)) }, errEnded},
}

// echoBut echoes what change returns for each read. at is how many bytes came before.
func echoBut(c net.Conn, change func(at int, p []byte) []byte) {
	buf := make([]byte, 4096)
	for at := 0; ; {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(change(at, buf[:n:n])); err != nil {
			return
		}
		at += n
	}
}

// serverConfig returns the TLS configuration of a test's servers, nil without TLS.
func serverConfig(t *testing.T, secure bool) *tls.Config {
	t.Helper()
	if !secure {
		return nil
	}
	cfg, err := serverTLS()
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func generatorFor(t *testing.T, o loadSpec) generator {
	t.Helper()
	o.PID, o.Conns, o.Size, o.Outstanding = os.Getpid(), 3, 64, 1
	o.Timeout = cmp.Or(o.Timeout, 20*time.Second) // a busy machine does not take so long
	g, err := newGenerator(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.open(); err != nil {
		t.Fatal(err)
	}
	return g
}

// once puts one kind of load on a server for a moment.
func once(g generator, kind string) error {
	if kind == kindIdle {
		return g.touch()
	}
	_, err := g.slice(20*time.Millisecond, 20*time.Millisecond)
	return err
}

var kinds = []string{kindEcho, kindChurn, kindStorm, kindIdle}

func TestLoadNoticesBadServers(t *testing.T) {
	for _, secure := range []bool{false, true} {
		cfg := serverConfig(t, secure)
		for _, b := range bad {
			for _, kind := range kinds {
				t.Run(fmt.Sprintf("%s/%s/TLS=%t", b.name, kind, secure), func(t *testing.T) {
					o := loadSpec{Addr: listen(t, cfg, b.handle), Kind: kind, TLS: secure}
					if b.want == errStalled {
						o.Timeout = 400 * time.Millisecond // which the test waits for
					}
					g := generatorFor(t, o)
					if err := once(g, kind); !errors.Is(err, b.want) {
						t.Errorf("error %v, want %v", err, b.want)
					}
				})
			}
		}
	}
}

// A load notices a server that does not speak TLS, and one that does not accept its own
// session tickets.
func TestLoadNoticesBadTLS(t *testing.T) {
	echo := func(c net.Conn) { echoBut(c, func(_ int, p []byte) []byte { return p }) }
	g, err := newGenerator(loadSpec{
		Addr: listen(t, nil, echo), PID: os.Getpid(), Kind: kindEcho, Conns: 1, Size: 64, Outstanding: 1,
		Timeout: time.Second, TLS: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.open(); err == nil {
		t.Error("a handshake with a server that speaks no TLS succeeded")
	}

	forgetful := serverConfig(t, true)
	forgetful.UnwrapSession = func([]byte, tls.ConnectionState) (*tls.SessionState, error) { return nil, nil }
	for _, c := range []struct {
		cfg  *tls.Config
		want error
	}{{forgetful, errNotResumed}, {serverConfig(t, true), nil}} {
		g := generatorFor(t, loadSpec{Addr: listen(t, c.cfg, echo), Kind: kindChurn, TLS: true, Resume: true})
		err := once(g, kindChurn)
		for i := 0; err == nil && c.want != nil && i < 100; i++ { // a busy machine may connect once in a moment, and so resume nothing
			err = once(g, kindChurn)
		}
		if !errors.Is(err, c.want) {
			t.Errorf("error %v, want %v", err, c.want)
		}
	}
}

// Sessions are resumed if the load asks for it, and not otherwise.
func TestLoadResumes(t *testing.T) {
	for _, resume := range []bool{false, true} {
		var resumed, all atomic.Int64
		addr := listen(t, serverConfig(t, true), func(c net.Conn) {
			echoBut(c, func(_ int, p []byte) []byte {
				all.Add(1)
				if c.(*tls.Conn).ConnectionState().DidResume {
					resumed.Add(1)
				}
				return p
			})
		})
		g := generatorFor(t, loadSpec{Addr: addr, Kind: kindChurn, TLS: true, Resume: resume})
		for i := 0; i == 0 || all.Load() < 10 && i < 100; i++ { // in how many moments depends on the machine
			if err := once(g, kindChurn); err != nil {
				t.Fatal(err)
			}
		}
		got, of := resumed.Load(), all.Load()
		if of < 10 || resume && got < of-3 || !resume && got != 0 {
			t.Errorf("resume %t: %d of %d connections were resumed", resume, got, of)
		}
	}
}

// All clients of a storm have connected before the first is served. Each is served once.
func TestStormIsAtOnce(t *testing.T) {
	var served, waiting atomic.Int64
	all := make(chan struct{}, 6)
	addr := listen(t, serverConfig(t, true), func(c net.Conn) {
		if waiting.Add(1)%3 == 0 {
			for range 3 {
				all <- struct{}{}
			}
		}
		<-all // the load stalls if the others do not come meanwhile
		served.Add(1)
		echoBut(c, func(_ int, p []byte) []byte { return p })
	})
	g := generatorFor(t, loadSpec{Addr: addr, Kind: kindStorm, TLS: true})
	for range 2 {
		served.Store(0)
		a, err := g.slice(0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if a.Messages != 3 || served.Load() != 3 || a.CPU <= 0 || a.Seconds <= 0 || a.P99 <= 0 {
			t.Errorf("%d served, result %+v; want 3 and some of everything", served.Load(), a)
		}
	}
}

func TestLoadStaysOnLoopback(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:80", "[::1]:80", "0.0.0.0:80"} {
		if _, err := newGenerator(loadSpec{Addr: addr, Kind: kindEcho}); err == nil {
			t.Errorf("a load on %s was accepted", addr)
		}
	}
}

// The clock is that of the process, and finer than a tick.
func TestCPUTime(t *testing.T) {
	first, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	now := first
	for now-first < time.Millisecond {
		before := now
		if now, err = cpuTime(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if now-before < 0 {
			t.Fatalf("the clock went back from %v to %v", before, now)
		}
	}
	if now%(10*time.Millisecond) == 0 {
		t.Errorf("the clock stands at %v: it counts in ticks", now)
	}
}

// Every server echoes under every kind of load, and ends when its runner does.
func TestEveryServer(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{exe: exe, sets: 2, warm: 5 * time.Millisecond, measure: 20 * time.Millisecond, idleRounds: 1, files: 1000, progress: io.Discard}
	for _, secure := range []bool{false, true} {
		r.servers = nil
		for _, s := range servers {
			if s.tls || !secure {
				r.servers = append(r.servers, choice{s.name, s.name})
			}
		}
		for _, w := range []workload{
			{name: "small", kind: kindEcho, conns: 5, size: 64, outstanding: 16}, {name: "large", kind: kindEcho, conns: 5, size: 100_000, outstanding: 2},
			{name: "churn", kind: kindChurn, conns: 4, size: 64, outstanding: 1}, {name: "idle", kind: kindIdle, conns: 200, size: 64, outstanding: 1},
			{name: "storm", kind: kindStorm, conns: 20, size: 64, outstanding: 1}, {name: "resume", kind: kindChurn, conns: 4, size: 64, resume: true},
		} {
			w.tls = secure
			shows(t, r, &w)
		}
	}
}

// shows measures a workload. Every server must have a result.
func shows(t *testing.T, r *runner, w *workload) {
	t.Helper()
	res, err := r.run(context.Background(), w)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range res.Failed {
		t.Errorf("%s: %s: %s", w.name, f.Server, f.Error)
	}
	for _, s := range r.servers {
		per := res.column(s.label, func(s sample) float64 { return s.PerCPU })
		used := res.idleColumn(s.label, func(s idleSample) float64 { return s.Used })
		if len(per) == 0 && len(used) == 0 {
			t.Errorf("%s: %s shows nothing", w.name, s.label)
		}
		late := len(res.stalls(s.label, func(s stall) float64 { return s.Max }))
		if watched := w.kind == kindStorm && s.name != "netpoll"; watched != (late > 0) {
			t.Errorf("%s: %s shows %d stalls", w.name, s.label, late)
		}
		pools := w.tls && strings.HasPrefix(s.name, "whorl")
		if n := res.Workers[s.label]; pools && n < 1 || !pools && n != 0 {
			t.Errorf("%s: %s shows %d workers", w.name, s.label, n)
		}
	}
}

// A server that cannot do TLS is left out of workloads with TLS, and the report says so.
func TestWithoutTLS(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{exe: exe, sets: 1, measure: 20 * time.Millisecond, files: 1000, progress: io.Discard, servers: []choice{{"netpoll", "netpoll"}}}
	res, err := r.run(context.Background(), &workload{name: "w", kind: kindEcho, tls: true, conns: 1, size: 64, outstanding: 1})
	if err != nil || len(res.Failed) != 1 || !strings.Contains(res.Failed[0].Error, "netpoll speaks no TLS") {
		t.Errorf("failed = %v, %v; want netpoll and why", res.Failed, err)
	}
}

// Every simulated world runs, and its samples have all figures.
func TestSimulated(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{exe: exe, sets: 2, measure: 20 * time.Millisecond, idleRounds: 1, progress: io.Discard}
	for i := range workloads {
		w := &workloads[i]
		if w.kind != kindSim || testing.Short() && w.name == "simday" {
			continue
		}
		res, err := r.run(context.Background(), w)
		if err != nil || len(res.Failed) > 0 || len(res.Sim) == 0 {
			t.Fatalf("%s: %v, %v, %d samples", w.name, err, res.Failed, len(res.Sim))
		}
		for _, s := range res.Sim {
			if s.PerCPU <= 0 || s.PerSecond <= 0 || s.Seconds <= 0 || s.Virtual < 1 || s.Allocs > 1 {
				t.Errorf("%s: %+v", w.name, s)
			}
			if w.name == "simday" && s.Virtual != 86400 {
				t.Errorf("a day has %v s", s.Virtual)
			}
		}
	}
}

// A server that dies is left out, with the end of its standard error. The others go on.
func TestDeadServerIsLeftOut(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{
		exe: exe, sets: 1, warm: time.Millisecond, measure: 20 * time.Millisecond, progress: io.Discard, files: 1000,
		servers: []choice{{"net", "net"}, {"gone", "no such server"}},
	}
	res, err := r.run(context.Background(), &workload{name: "w", kind: kindEcho, conns: 1, size: 64, outstanding: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Failed) != 1 || res.Failed[0].Server != "gone" || !strings.Contains(res.Failed[0].Error, `no server "no such server"`) {
		t.Errorf("failed = %v, want gone and why", res.Failed)
	}
	if len(res.ratios("net", "net")) != 1 {
		t.Errorf("net did not go on: %v", res.Sets)
	}
}

func TestServerEndsWithItsInput(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range servers {
		c, err := startChild(exe, nil, "serve", `{"Name":"`+s.name+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		var at hello
		if err := c.ask(context.Background(), "", 10*time.Second, &at); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		c.stop()
		if state := c.cmd.ProcessState; state == nil || !state.Success() {
			t.Errorf("%s ended with %v: it had to be killed", s.name, state)
		}
	}
}
