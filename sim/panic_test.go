package sim_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// faulty is a protocol with a mistake.
type faulty struct {
	reactor.Base
	lost int
}

func (p *faulty) DataReceived([]byte)  { panic("no such room") }
func (p *faulty) ConnectionLost(error) { p.lost++ }

// A panic in a callback ends the run of a world with an error that names the callback, as the rule too. The log does not tell of
// a loop whose goroutine has ended, because the reactor goes on in order until it is closed.
func TestPanicEndsRun(t *testing.T) {
	var log bytes.Buffer
	p := new(faulty)
	w := sim.World{Name: "rooms", Length: 5 * time.Second, Setup: func(n *sim.Net) sim.Checks {
		n.Config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		a, b := n.Host("a"), n.Host("b")
		if _, err := a.Reactor.Listen(a.Addr(7), single(p), nil); err != nil {
			t.Error(err)
		}
		b.Reactor.Dial(a.Addr(7), single(new(talker)), nil, nil)
		return sim.Checks{}
	}}
	r := w.Run(1, sim.Options{})
	e, ok := errors.AsType[*sim.RunError](r.Err)
	if !ok || e.What != "panic" || e.Rule != "panic in faulty: no such room" || !strings.Contains(r.Err.Error(), "panic_test.go") {
		t.Errorf("the run ends with %v", r.Err)
	}
	if p.lost != 1 {
		t.Errorf("%d ConnectionLost", p.lost)
	}
	if text := log.String(); strings.Contains(text, "goroutine ends") || strings.Count(text, "level=ERROR") != 1 {
		t.Errorf("the log is\n%s", text)
	}
}

// Of several panics in one turn the first ends the run, and the others of that turn are not kept for a later one.
func TestFirstPanicEndsRun(t *testing.T) {
	n := sim.New(1)
	h := n.Host("h")
	for _, text := range []string{"first", "second"} {
		h.Reactor.CallLater(time.Second, func() { panic(text) })
	}
	run := func() (e *reactor.PanicError) {
		defer func() { e, _ = recover().(*reactor.PanicError) }()
		if err := n.Run(2 * time.Second); err != nil {
			t.Error(err)
		}
		return nil
	}
	if e := run(); e == nil || e.Value != "first" {
		t.Errorf("the run ends with %v", e)
	}
	if e := run(); e != nil {
		t.Errorf("the next run ends with %v", e)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
