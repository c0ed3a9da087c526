package sim_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// A paused program takes nothing: its buffers fill and then its peer's, to the byte.
// After Resume all of it comes through.
func TestPauseFillsBuffers(t *testing.T) {
	n, srv, cli := two(t, 1, nil)
	n.Options.SendBuffer, n.Options.RecvBuffer = 3000, 2000
	p := new(recorder)
	serve(t, srv, reactor.One(p))
	s := raw(t, n, cli, srv.Addr(7))
	must(t, n, func() bool { return p.T != nil })
	srv.Pause()
	sent := 0
	flood := func(total int) {
		for range 20 {
			for sent < total {
				m, err := s.Write([]byte(strings.Repeat("x", min(700, total-sent))))
				if sent += m; errors.Is(err, kernel.ErrAgain) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			n.Run(time.Second)
		}
	}
	flood(100_000)
	if sent != 5000 || p.got.Len() != 0 || !srv.Paused() {
		t.Fatalf("%d bytes were taken, %d heard", sent, p.got.Len())
	}
	n.Run(24 * time.Hour)
	srv.Resume()
	flood(30_000)
	if p.got.Len() != 30_000 || p.lost != nil || srv.Paused() {
		t.Errorf("%d bytes heard, lost %v", p.got.Len(), p.lost)
	}
}

// The kernel of a paused program goes on taking connections; the program hears of them,
// and of its delayed calls, late but in order, and of nothing twice.
func TestPauseIsLate(t *testing.T) {
	n, srv, cli := two(t, 1, echoes())
	var calls []string
	start := n.Now()
	for i := range 3 {
		srv.Reactor.CallLater(time.Duration(i+1)*time.Minute, func() {
			calls = append(calls, fmt.Sprint(i, " ", n.Now()-start))
		})
	}
	srv.Reactor.CallLater(3*time.Hour, func() { calls = append(calls, "last "+fmt.Sprint(n.Now()-start)) })
	n.Run(90 * time.Second)
	srv.Pause()
	srv.Pause()
	p := new(recorder)
	dial(cli, srv.Addr(7), p)
	say := func(text string) { n.At(n.Now(), func() { p.T.Write([]byte(text)) }) }
	must(t, n, func() bool { return p.T != nil })
	say("hello")
	n.Run(2*time.Hour - (n.Now() - start))
	if p.got.Len() != 0 || len(calls) != 1 {
		t.Fatalf("while paused: %q, %q", p.got.String(), calls)
	}
	srv.Resume()
	must(t, n, func() bool { return p.got.String() == "hello" })
	n.Run(2 * time.Hour)
	if want := []string{"0 1m0s", "1 2h0m0s", "2 2h0m0s", "last 3h0m0s"}; !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
	if accepted := srv.Reactor.Stats().Accepted; accepted != 1 || p.lost != nil {
		t.Errorf("%d accepted, lost %v", accepted, p.lost)
	}
}

// With all programs paused nothing can happen: that is a deadlock, not a wait.
func TestPauseIsNoProgress(t *testing.T) {
	n, srv, _ := two(t, 1, nil)
	srv.Reactor.CallLater(time.Second, func() { t.Error("called while paused") })
	srv.Pause()
	if err := n.RunUntil(func() bool { return false }, time.Hour); !errors.Is(err, sim.ErrDeadlock) || !strings.Contains(err.Error(), "paused") {
		t.Errorf("RunUntil: %v", err)
	}
	// Kill, Crash and Restart end a pause.
	srv.Kill()
	if srv.Paused() {
		t.Error("paused after Kill")
	}
	srv.Pause()
	srv.Crash()
	srv.Pause()
	srv.Restart()
	if srv.Paused() {
		t.Error("paused after Restart")
	}
	called := false
	srv.Reactor.CallLater(time.Second, func() { called = true })
	if n.Run(time.Minute); !called {
		t.Error("nothing is called after Restart")
	}
}

// Signals wait for Resume; a program that has ended since does not get them.
func TestPauseKeepsSignals(t *testing.T) {
	n, srv, _ := two(t, 1, nil)
	var got []os.Signal
	notify := func() {
		srv.Kernel.(kernel.Signals).Notify(func(s os.Signal) { got = append(got, s) }, os.Interrupt, os.Kill)
	}
	notify()
	srv.Pause()
	srv.Signal(os.Interrupt)
	srv.Signal(os.Kill)
	n.Run(time.Second)
	if len(got) != 0 {
		t.Fatalf("while paused: %v", got)
	}
	srv.Resume()
	srv.Resume()
	if !slices.Equal(got, []os.Signal{os.Interrupt, os.Kill}) {
		t.Fatalf("after Resume: %v", got)
	}
	srv.Pause()
	srv.Signal(os.Interrupt)
	srv.Kill()
	notify()
	srv.Pause()
	srv.Resume()
	if len(got) != 2 {
		t.Errorf("a signal of the program before: %v", got)
	}
}

// On localhost a signal goes to every kernel there, once; what is closed gets none.
func TestSignalReachesKernels(t *testing.T) {
	n := sim.New(1)
	home := n.Host("localhost")
	var got []string
	take := func(k kernel.Kernel, who string) {
		k.(kernel.Signals).Notify(func(s os.Signal) { got = append(got, who+" "+s.String()) }, os.Interrupt)
	}
	a, b := n.Kernel(), n.Kernel()
	take(home.Kernel, "host")
	take(a, "a")
	take(b, "b")
	home.Signal(os.Interrupt)
	home.Signal(os.Kill) // nobody takes it
	home.Pause()
	home.Signal(os.Interrupt)
	a.Close()
	home.Resume()
	home.Signal(os.Interrupt)
	want := []string{"host interrupt", "a interrupt", "b interrupt", "a interrupt", "b interrupt",
		"host interrupt", "host interrupt", "b interrupt"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// The program is called in the first turn, on a reactor that runs, behind the startup
// triggers; again after Kill and Restart; and what it listens on is there again.
func TestStart(t *testing.T) {
	n, srv, cli := two(t, 1, nil)
	var log []string
	disk := 0
	srv.Reactor.CallWhenRunning(func() { log = append(log, "running") })
	srv.Start(func(h *sim.Host) {
		if h != srv || !h.Reactor.Running() {
			t.Errorf("program of %s: running is %v", h.Name(), h.Reactor.Running())
		}
		disk++
		log = append(log, fmt.Sprint("program ", disk))
		h.Reactor.CallWhenRunning(func() { log = append(log, "at once") })
		serve(t, h, echoes())
	})
	if len(log) != 0 {
		t.Fatalf("called in Start: %q", log)
	}
	answered := func(when string) {
		t.Helper()
		p := new(recorder)
		dial(cli, srv.Addr(7), p)
		must(t, n, func() bool { return p.T != nil })
		say(n, p, "x")
		must(t, n, func() bool { return p.got.Len() == 1 })
		log = append(log, when)
	}
	n.Run(time.Second)
	answered("first")
	srv.Kill()
	n.Run(time.Second)
	answered("killed")
	srv.Crash()
	n.Run(time.Hour)
	srv.Restart()
	n.Run(time.Second)
	answered("restarted")
	srv.Pause()
	srv.Kill()
	n.Run(time.Second)
	answered("killed while paused")
	want := "running program 1 at once first program 2 at once killed program 3 at once restarted program 4 at once killed while paused"
	if got := strings.Join(log, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A later Start replaces the program and is heeded while things run, also on a host that
// is down; a program may end the host it is on; nil is no program.
func TestStartAgain(t *testing.T) {
	n, srv, cli := two(t, 1, nil)
	var log []string
	program := func(name string) func(*sim.Host) {
		return func(*sim.Host) { log = append(log, name) }
	}
	srv.Start(program("a"))
	srv.Start(program("b"))
	n.Run(time.Second)
	srv.Start(program("c"))
	n.Run(time.Second)
	srv.Crash()
	srv.Start(program("d"))
	n.Run(time.Second)
	srv.Restart()
	n.Run(time.Second)
	srv.Start(nil)
	srv.Kill()
	n.Run(time.Second)
	kills := 0
	srv.Start(func(h *sim.Host) {
		if kills++; kills < 4 {
			h.Kill()
		}
	})
	n.Run(time.Second)
	// Given by another host while things run, and with a startup that kills.
	at, called := n.Now()+time.Minute, time.Duration(0)
	cli.Reactor.CallLater(time.Minute, func() {
		srv.Start(func(*sim.Host) { called = n.Now() })
	})
	cli.Reactor.CallLater(2*time.Minute, func() {}) // time could move on to this
	n.Run(time.Hour)
	if called != at {
		t.Errorf("started at %v, called at %v", at, called)
	}
	srv.Start(func(h *sim.Host) {
		if !h.Reactor.Running() {
			t.Error("called on a reactor that does not run")
		}
		log = append(log, "f")
	})
	srv.Kill()
	srv.Reactor.CallWhenRunning(srv.Kill)
	n.Run(time.Second)
	if got := strings.Join(log, ""); got != "bcdf" || kills != 4 {
		t.Errorf("got %s and %d kills", got, kills)
	}
}

// Stop on a host is carried out: its shutdown triggers run, and then it is called no
// more, until Kill gives it a new program.
func TestStartAndStop(t *testing.T) {
	n, srv, _ := two(t, 1, nil)
	starts, stops := 0, 0
	srv.Start(func(h *sim.Host) {
		starts++
		h.Reactor.AddTrigger(reactor.After, reactor.Shutdown, func() { stops++ })
		h.Reactor.CallLater(time.Minute, func() { h.Reactor.Stop() })
		h.Reactor.CallLater(time.Hour, func() { t.Error("called after Stop") })
	})
	if err := n.RunUntil(func() bool { return stops == 1 }, time.Hour); err != nil {
		t.Fatal(err)
	}
	n.Run(2 * time.Hour)
	srv.Kill()
	n.Run(time.Second)
	n.Close()
	if starts != 2 || stops != 2 {
		t.Errorf("%d starts and %d stops", starts, stops)
	}
}

// counting is a kernel that counts its turns.
type counting struct {
	kernel.Kernel
	waits int
}

func (k *counting) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	k.waits++
	return k.Kernel.Wait(ev, until)
}

// What Wrap returns is what the reactor stands on, for each host and each of its programs.
func TestWrap(t *testing.T) {
	n := sim.New(1)
	var all []*counting
	var names []string
	n.Wrap = func(h *sim.Host, k kernel.Kernel) kernel.Kernel {
		if k.Now() <= 0 || n.Now() <= 0 { // the Net may be used
			t.Error("no time")
		}
		all = append(all, &counting{Kernel: k})
		names = append(names, h.Name())
		return all[len(all)-1]
	}
	srv, cli := n.Host("srv"), n.Host("cli")
	serve(t, srv, echoes())
	p := new(recorder)
	dial(cli, srv.Addr(7), p)
	must(t, n, func() bool { return p.T != nil })
	say(n, p, "x")
	must(t, n, func() bool { return p.got.Len() == 1 })
	if srv.Kernel != kernel.Kernel(all[0]) || srv.Reactor.Kernel() != srv.Kernel || all[0].waits == 0 || all[1].waits == 0 {
		t.Errorf("the reactor is not on what Wrap returned")
	}
	srv.Kill()
	srv.Restart()
	n.Run(time.Second)
	if got := strings.Join(names, " "); got != "srv cli srv srv" || srv.Kernel != kernel.Kernel(all[3]) || all[3].waits == 0 {
		t.Errorf("wrapped: %s", got)
	}
}

// The resolver is as slow as Resolving says and fails as it says; an unknown name fails by
// itself, and whoever cancels hears nothing.
func TestResolving(t *testing.T) {
	n, srv, cli := two(t, 1, nil)
	broken := errors.New("the resolver is broken")
	var asked []string
	n.Resolving = func(h *sim.Host, name string) (time.Duration, error) {
		asked = append(asked, h.Name()+" "+name)
		n.Now() // the Net may be used
		switch name {
		case "slow.example":
			return time.Minute, nil
		case "broken.example":
			return time.Second, broken
		}
		return -time.Hour, nil
	}
	slow := n.Host("slow.example")
	n.Host("broken.example")
	type answer struct {
		ips []netip.Addr
		err error
		at  time.Duration
	}
	look := func(name string) *answer {
		a, start := new(answer), n.Now()
		cli.Reactor.Resolve(name, func(ips []netip.Addr, err error) { *a = answer{ips, err, n.Now() - start} })
		return a
	}
	quick, late, bad, none := look("srv"), look("slow.example"), look("broken.example"), look("nobody")
	cli.Reactor.Resolve("srv", func([]netip.Addr, error) { t.Error("an answer after cancel") })()
	n.Run(time.Hour)
	const most = 10 * time.Millisecond // there and back
	in := func(a *answer, d time.Duration) bool { return a.at >= d+2*time.Millisecond && a.at <= d+most }
	if !in(quick, 0) || quick.err != nil || quick.ips[0] != srv.Addr(0).IP.Addr() {
		t.Errorf("srv: %+v", *quick)
	}
	if !in(late, time.Minute) || late.err != nil || late.ips[0] != slow.Addr(0).IP.Addr() || late.ips[1] != slow.Addr6(0).IP.Addr() {
		t.Errorf("slow: %+v", *late)
	}
	if !in(bad, time.Second) || !errors.Is(bad.err, broken) || !errors.Is(bad.err, reactor.ErrUnknownHost) {
		t.Errorf("broken: %+v", *bad)
	}
	if !in(none, 0) || !errors.Is(none.err, reactor.ErrUnknownHost) || !errors.Is(none.err, kernel.ErrNoRoute) ||
		!strings.Contains(none.err.Error(), `"nobody"`) {
		t.Errorf("nobody: %+v", *none)
	}
	if got := strings.Join(asked, ","); got != "cli srv,cli slow.example,cli broken.example,cli nobody,cli srv" {
		t.Errorf("asked: %s", got)
	}
}

// Options.Resolve makes look-ups late, and about half of the late ones fail; it needs no
// Apply, and adds to what Resolving says.
func TestResolveOption(t *testing.T) {
	n, srv, cli := two(t, 1, nil)
	n.Resolving = func(*sim.Host, string) (time.Duration, error) { return time.Minute, nil }
	look := func(count int) (failed int, most time.Duration) {
		for range count {
			start, answered := n.Now(), false
			cli.Reactor.Resolve("srv", func(ips []netip.Addr, err error) {
				answered, most = true, max(most, n.Now()-start)
				if err != nil && !errors.Is(err, kernel.ErrTimeout) || err == nil && ips[0] != srv.Addr(0).IP.Addr() {
					t.Errorf("answer %v, %v", ips, err)
				}
				if err != nil {
					failed++
				}
			})
			must(t, n, func() bool { return answered })
		}
		return failed, most
	}
	if failed, most := look(20); failed > 0 || most < time.Minute || most > time.Minute+20*time.Millisecond {
		t.Errorf("without it %d fail, and the longest takes %v", failed, most)
	}
	n.Options.Resolve = 1
	if failed, most := look(200); failed < 60 || failed > 140 || most < time.Minute+time.Second || most > time.Minute+6*time.Second {
		t.Errorf("with it %d fail, and the longest takes %v", failed, most)
	}
}
