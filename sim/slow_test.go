//go:build !race

// One goroutine does it all: the race detector could find nothing here, and makes it take
// seconds.

package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// slowRun asks a server on many connections at once, and returns how long the first and the
// last answer took, and how late a delayed call of the server was.
func slowRun(t *testing.T, seed uint64, slow time.Duration) (first, last, late time.Duration, n *sim.Net) {
	t.Helper()
	n = sim.New(seed)
	n.KeepTrace = true
	n.Config.ReadBuffer = readBuffer
	n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: time.Millisecond}
	srv, cli := n.Host("srv"), n.Host("cli")
	serve(t, srv, echoes())
	const conns = 40
	var all []*recorder
	answered := 0
	var asked time.Duration
	called := false
	for range conns {
		p := new(recorder)
		p.onData = func([]byte) {
			if answered++; answered == 1 {
				first = n.Now() - asked
			}
			last = n.Now() - asked
		}
		all = append(all, p)
		n.At(time.Millisecond, func() { dial(cli, srv.Addr(7), p) })
	}
	must(t, n, func() bool {
		for _, p := range all {
			if p.T == nil {
				return false
			}
		}
		return true
	})
	n.Run(time.Second)
	n.Options.Slow = slow
	asked = n.Now()
	due := srv.Reactor.Now() + 3*time.Millisecond
	n.At(asked, func() {
		srv.Reactor.CallLater(3*time.Millisecond, func() { called, late = true, srv.Reactor.Now()-due })
		for _, p := range all {
			p.T.Write([]byte("?"))
		}
	})
	must(t, n, func() bool { return answered == conns && called })
	return first, last, late, n
}

// Callbacks of a slow host take virtual time: answers behind them in the batch are late, and so
// is what its timers are to do, while other hosts go on. A host that was not drawn is quick.
func TestSlowCallbacks(t *testing.T) {
	slowHosts := 0
	for seed := range uint64(40) {
		first, last, _, _ := slowRun(t, seed, 0)
		if last-first > 2*time.Millisecond {
			t.Fatalf("seed %d: without the class, answers take %v to %v", seed, first, last)
		}
		first, last, late, n := slowRun(t, seed, time.Second)
		taken := map[string]time.Duration{}
		for e := range n.Events() {
			if e.Op == sim.OpSlow {
				if e.Lasts < time.Microsecond || e.Lasts > time.Second || e.Text != e.Lasts.String() {
					t.Errorf("seed %d: %+v", seed, e)
				}
				taken[e.Host] += e.Lasts
			}
		}
		if taken["srv"] == 0 {
			continue
		}
		slowHosts++
		if last-first < time.Millisecond || late == 0 {
			t.Errorf("seed %d: the callbacks took %v, answers %v to %v, a call was %v late", seed, taken["srv"], first, last, late)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
	if slowHosts < 10 || slowHosts > 30 {
		t.Errorf("in %d of 40 runs the server is slow", slowHosts)
	}
}

// A callback that blocks its host shows: nothing of it is called before it is over, and the
// segments of other hosts arrive in time.
func TestSlowBlocks(t *testing.T) {
	for seed := range uint64(20) {
		n := sim.New(seed)
		n.KeepTrace = true
		n.Options.Slow = time.Second
		a := n.Host("a")
		var ticks []time.Duration
		a.Start(func(h *sim.Host) {
			var tick reactor.DelayedCall
			tick.Init(h.Reactor, func() { tick.Reset(time.Millisecond); ticks = append(ticks, n.Now()) })
			tick.Reset(0)
		})
		n.Host("b").Start(func(h *sim.Host) {})
		if err := n.Run(20 * time.Second); err != nil {
			t.Fatal(err)
		}
		busy := time.Duration(0)
		for e := range n.Events() {
			switch {
			case e.Host != "a":
			case e.Op == sim.OpSlow:
				busy = max(busy, e.At) + e.Lasts
			case e.Op == sim.OpWait && e.At < busy && e.At > 1 && !sameTurn(n, e.At):
				t.Fatalf("seed %d: it turns at %v, and is busy until %v", seed, e.At, busy)
			}
		}
		if busy == 0 && len(ticks) < 15_000 || busy > 0 && len(ticks) > 15_000 {
			t.Errorf("seed %d: busy until %v, %d ticks", seed, busy, len(ticks))
		}
	}
}

// sameTurn tells whether a slow callback was made at that very time.
func sameTurn(n *sim.Net, at time.Duration) bool {
	for e := range n.Events() {
		if e.Op == sim.OpSlow && e.At == at {
			return true
		}
	}
	return false
}

// A host is as slow with and without others, and a kernel that drives itself lets the time of
// its callbacks pass at once.
func TestSlowIsPerHost(t *testing.T) {
	slow := func(hosts int) (text string) {
		n := sim.New(3)
		n.KeepTrace = true
		n.Options.Slow = 10 * time.Millisecond
		for i := range hosts {
			n.Host(fmt.Sprintf("h%d", i)).Start(func(h *sim.Host) {
				var call reactor.DelayedCall
				call.Init(h.Reactor, func() { call.Reset(time.Second) })
				call.Reset(0)
			})
		}
		n.Run(30 * time.Second)
		for e := range n.Events() {
			if e.Op == sim.OpSlow && e.Host < "h4" {
				text += fmt.Sprintln(e.Host, e.Lasts)
			}
		}
		return text
	}
	perHost := func(text, host string) (own string) {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, host) {
				own += line
			}
		}
		return own
	}
	four, eight := slow(4), slow(8)
	if four == "" {
		t.Fatal("no host is slow")
	}
	for _, h := range []string{"h0", "h1", "h2", "h3"} {
		if perHost(four, h) != perHost(eight, h) {
			t.Errorf("%s is slow otherwise with more hosts", h)
		}
	}
	var passed time.Duration
	for seed := range uint64(10) {
		n := sim.New(seed)
		n.Options.Slow = time.Second
		k := n.Kernel()
		r := reactor.New(k, reactor.Config{ReadBuffer: readBuffer})
		for range 20 {
			r.CallLater(0, func() {})
		}
		before := n.Now()
		r.Turn(0)
		passed += n.Now() - before
		r.Close()
	}
	if passed < time.Second/10 {
		t.Errorf("only %v passed", passed)
	}
}
