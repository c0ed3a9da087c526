//go:build !race

// One goroutine does it all: the race detector could find nothing here, and makes it take
// seconds.

package sim_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// A graceful restart stops the program in order: triggers run, and what waits for the shutdown
// is waited for. Then the program starts again on another reactor. Peers see an orderly end.
func TestGracefulRestart(t *testing.T) {
	for seed := range uint64(20) {
		n := sim.New(seed)
		n.KeepTrace = true
		srv, cli := n.Host("srv"), n.Host("cli")
		starts, drained := 0, time.Duration(0)
		srv.Start(func(h *sim.Host) {
			starts++
			if _, err := h.Reactor.Listen(h.Addr(7), echoes(), nil); err != nil {
				t.Fatal(err)
			}
			h.Reactor.AddWaitTrigger(reactor.Shutdown, func(done func()) {
				h.Reactor.CallLater(3*time.Second, func() { drained = n.Now(); done() })
			})
		})
		p := new(recorder)
		n.At(time.Second, func() { dial(cli, srv.Addr(7), p) })
		must(t, n, func() bool { return p.T != nil })
		old, at := srv.Reactor, n.Now()
		n.At(n.Now(), func() { srv.GracefulRestart(); srv.GracefulRestart() })
		must(t, n, func() bool { return p.lost != nil && starts == 2 })
		if drained < at+3*time.Second || !errors.Is(p.lost, io.EOF) || srv.Reactor == old {
			t.Errorf("seed %d: drained at %v, the peer lost its connection with %v", seed, drained, p.lost)
		}
		q := new(recorder)
		n.At(n.Now(), func() { dial(cli, srv.Addr(7), q) })
		must(t, n, func() bool { return q.T != nil })
		if got := lines(n, "stop"); len(got) != 1 {
			t.Errorf("seed %d: %q", seed, got)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// What a program leaves behind when it stops in order is found at once; and a program that ended
// itself, or was killed meanwhile, is not started a second time.
func TestGracefulRestartChecks(t *testing.T) {
	n := sim.New(1)
	h := n.Host("a")
	h.Start(func(h *sim.Host) {
		if _, err := h.Kernel.Listen(h.Addr(7), nil); err != nil { // past the reactor
			t.Fatal(err)
		}
	})
	n.At(time.Second, h.GracefulRestart)
	var broken *sim.InvariantError
	if err := n.Run(2 * time.Second); !errors.As(err, &broken) || broken.Rule != sim.RuleLeft {
		t.Errorf("%v", err)
	}

	n = sim.New(1)
	h = n.Host("a")
	starts := 0
	h.Start(func(h *sim.Host) {
		starts++
		h.Reactor.AddWaitTrigger(reactor.Shutdown, func(done func()) { h.Reactor.CallLater(time.Second, done) })
	})
	n.At(time.Second, func() { h.GracefulRestart(); h.Kill() })
	n.At(2*time.Second, func() { h.GracefulRestart(); h.Crash() })
	n.At(3*time.Second, h.Restart)
	n.At(4*time.Second, func() { h.Reactor.Stop() })
	n.At(6*time.Second, h.GracefulRestart) // it has ended: nobody is to start it again
	if err := n.Run(10 * time.Second); err != nil || starts != 3 {
		t.Errorf("started %d times: %v", starts, err)
	}
}

// A rolling restart restarts every program, one after another: the next stops only when the one
// before has started again.
func TestRolling(t *testing.T) {
	for seed := range uint64(10) {
		n := sim.New(seed)
		n.KeepTrace = true
		starts := map[string]int{}
		for _, name := range []string{"a", "b", "c"} {
			n.Host(name).Start(func(h *sim.Host) {
				starts[name]++
				h.Reactor.AddWaitTrigger(reactor.Shutdown, func(done func()) { h.Reactor.CallLater(2*time.Second, done) })
			})
		}
		n.Apply(sim.Options{Rolling: .2})
		if err := n.Run(5 * time.Minute); err != nil {
			t.Fatal(err)
		}
		n.Calm()
		if err := n.Run(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		down, order := "", ""
		for _, line := range lines(n, "stop", "start") {
			f := strings.Fields(line)
			if f[2] == "stop" && down != "" {
				t.Fatalf("seed %d: %s stops before %s has started", seed, f[1], down)
			}
			if down = ""; f[2] == "stop" {
				down = f[1]
				order += f[1]
			}
		}
		for _, name := range []string{"a", "b", "c"} {
			if count := strings.Count(order, name); count < 5 || starts[name] != count+1 {
				t.Errorf("seed %d: %s stopped %d times and started %d times", seed, name, count, starts[name])
			}
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A stop takes one program at a time, and each comes back.
func TestStopClass(t *testing.T) {
	n := storm(t, 1, 3, sim.Options{Stop: 1}, 5*time.Minute)
	n.Calm()
	n.Run(time.Second)
	stops, starts := len(lines(n, "stop")), len(lines(n, "start"))
	if stops < 100 || starts != stops+3 {
		t.Errorf("%d stops and %d starts", stops, starts)
	}
}

// A reactor that stops ends its connections in order if everything was sent, and resets those
// for which something was not.
func TestStopResetsUnsent(t *testing.T) {
	for seed := range uint64(50) {
		n := sim.New(seed)
		n.Config.ReadBuffer = readBuffer
		n.Options.SendBuffer, n.Options.RecvBuffer = 1000, 1000
		n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 5 * time.Millisecond}
		srv, cli := n.Host("srv"), n.Host("cli")
		var far []*recorder
		serve(t, srv, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			far = append(far, new(recorder))
			return far[len(far)-1]
		}))
		sent, stuck := new(recorder), new(recorder)
		dial(cli, srv.Addr(7), sent)
		must(t, n, func() bool { return len(far) == 1 && far[0].T != nil && sent.T != nil })
		dial(cli, srv.Addr(7), stuck)
		must(t, n, func() bool { return len(far) == 2 && far[1].T != nil && stuck.T != nil })
		n.At(n.Now(), func() {
			far[0].T.Write([]byte("all of it"))
			reading, _ := reactor.As[reactor.Producer](stuck.T)
			reading.PauseProducing()
			far[1].T.Write(make([]byte, 100_000))
		})
		n.Run(time.Second)
		n.At(n.Now(), func() { srv.Reactor.Stop() })
		n.Run(time.Second)
		n.At(n.Now(), func() {
			reading, _ := reactor.As[reactor.Producer](stuck.T)
			reading.ResumeProducing()
		})
		must(t, n, func() bool { return sent.lost != nil && stuck.lost != nil })
		if !errors.Is(sent.lost, io.EOF) || sent.got.String() != "all of it" {
			t.Errorf("seed %d: all was sent, and the peer got %q and %v", seed, &sent.got, sent.lost)
		}
		if !errors.Is(stuck.lost, kernel.ErrReset) || stuck.got.Len() >= 100_000 {
			t.Errorf("seed %d: not all was sent, and the peer got %d bytes and %v", seed, stuck.got.Len(), stuck.lost)
		}
		for i, p := range far {
			if !errors.Is(p.lost, reactor.ErrStopped) {
				t.Errorf("seed %d: %d was told %v", seed, i, p.lost)
			}
		}
	}
}
