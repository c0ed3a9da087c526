package reactor_test

import (
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// CORE-21: what posted functions, delayed calls and triggers of Shutdown have written is sent when all of them
// were called, and before the loop waits.
func TestSendsBeforeItWaits(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		f := new(testworld.Faults)
		k := &spyKernel{Kernel: f.Wrap(w.Open(t))}
		r := testworld.New(t, k, reactor.Config{})
		srv, cli := &end{}, &end{}
		connect(t, r, srv, cli)
		var s steps
		f.Write = func() error { s.add("send"); return nil }
		k.asleep = func(time.Duration) { s.add("wait") }
		write := func(what string) {
			s.add(what)
			srv.s.Write([]byte(what + " "))
		}
		r.AddWaitTrigger(reactor.Shutdown, func(done func()) {
			write("shutdown")
			cli.onData = func([]byte) { done() }
		})
		r.CallLater(0, func() { write("timer") })
		r.Post(func() { write("post"); r.Stop() })
		runToEnd(t, r)
		if want := (steps{"post", "timer", "shutdown", "send", "wait"}); len(s) < len(want) || !slices.Equal(s[:len(want)], want) {
			t.Errorf("CORE-21: %v, want %v first", s, want)
		}
		if string(cli.got) != "post timer shutdown " {
			t.Errorf("CORE-21: the peer got %q", cli.got)
		}
	})
}
