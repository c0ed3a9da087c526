package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be server and load generator, as the program is.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && (os.Args[1] == "serve" || os.Args[1] == "load") {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// listen serves each connection with handle, and returns where.
func listen(t *testing.T, handle func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
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

// bad are servers that are wrong in one way each, after some bytes of good
// behaviour. The counts are of one connection.
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

// echoBut echoes what change makes of each read; at is how many came before.
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

func generatorFor(t *testing.T, addr, kind string) generator {
	t.Helper()
	g, err := newGenerator(order{Addr: addr, PID: os.Getpid(), Kind: kind, Conns: 3, Size: 64, Outstanding: 1, Patience: 150 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.open(); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestLoadNoticesBadServers(t *testing.T) {
	for _, b := range bad {
		for _, kind := range []string{kindEcho, kindChurn, kindIdle} {
			t.Run(b.name+"/"+kind, func(t *testing.T) {
				g := generatorFor(t, listen(t, b.handle), kind)
				var err error
				if kind == kindIdle {
					err = g.touch()
				} else {
					_, err = g.slice(20*time.Millisecond, 20*time.Millisecond)
				}
				if !errors.Is(err, b.want) {
					t.Errorf("error %v, want %v", err, b.want)
				}
			})
		}
	}
}

func TestLoadStaysOnLoopback(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:80", "[::1]:80", "0.0.0.0:80"} {
		if _, err := newGenerator(order{Addr: addr, Kind: kindEcho}); err == nil {
			t.Errorf("a load on %s was accepted", addr)
		}
	}
}

// The clock is of the process and finer than a tick.
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

// Every server echoes under every kind of load, and ends with its runner.
func TestEveryServer(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{exe: exe, sets: 2, warm: 5 * time.Millisecond, measure: 20 * time.Millisecond, idleRounds: 1, files: 1000, progress: io.Discard}
	for _, s := range servers {
		r.servers = append(r.servers, choice{s.name, s.name})
	}
	for _, w := range []workload{
		{"small", kindEcho, 5, 64, 16, ""}, {"large", kindEcho, 5, 100_000, 2, ""},
		{"churn", kindChurn, 4, 64, 1, ""}, {"idle", kindIdle, 200, 64, 1, ""},
	} {
		res, err := r.run(context.Background(), &w)
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
		}
	}
}

// A server that dies is left out with its last words; the others go on.
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
		c, err := startChild(exe, nil, "serve", s.name)
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
