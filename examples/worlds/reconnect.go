package worlds

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl/examples/reconnect/watch"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
	"github.com/whorl-go/whorl/sim"
)

// Reconnect is the client of examples/reconnect, with a feed that ticks. The client's state
// must always agree with the connections and delayed calls that its reactor has. The ticks
// of each connection must come in order, from the first one on, without a gap.
func Reconnect() sim.World {
	return sim.World{
		Name:   "reconnect",
		About:  "a client that connects again, and a feed that ticks",
		Length: time.Minute,
		Setup: func(n *sim.Net) sim.Checks {
			small(n)
			w := &reconnect{srv: n.Host("srv"), cli: n.Host("cli"), random: chance{n.Seed()}}
			w.srv.Start(func(h *sim.Host) {
				if _, err := h.Reactor.Listen(h.Addr(8009), reactor.Each[ticker](), nil); err != nil {
					w.fail("starts", "opening the feed: %w", err)
				}
			})
			w.cli.Start(w.follow)
			return sim.Checks{Always: w.always, Eventually: []sim.Condition{
				{Name: "ticks come", Holds: w.done},
				{Name: "connected", Holds: func() bool { return w.w.State() == watch.Connected }},
			}, Sometimes: []sim.Condition{
				{Name: "connected again", Holds: func() bool { return w.connected > 1 }},
				{Name: "silence", Holds: func() bool { return w.silent }},
			}}
		},
	}
}

// ticker is the feed. It sends a number every second, from 1 on.
type ticker struct {
	reactor.Base
	ticks int
	every *reactor.Ticker
}

// ConnectionMade starts the ticks.
func (t *ticker) ConnectionMade(tr reactor.Transport) {
	t.Base.ConnectionMade(tr)
	t.every = tr.Reactor().Every(time.Second, func() {
		t.ticks++
		fmt.Fprintf(tr, "tick %d\n", t.ticks)
	})
}

// DataReceived does nothing: the client sends nothing.
func (t *ticker) DataReceived([]byte) {}

// ConnectionLost ends the ticks.
func (t *ticker) ConnectionLost(error) { t.every.Stop() }

type reconnect struct {
	verdict
	srv, cli *sim.Host
	random   chance
	w        *watch.Watch
	state    watch.State
	ticks    int // on this connection
	total    int
	calm     int // the total when the faults ended

	connected int  // how often
	silent    bool // a connection ended because no tick came
}

// follow is the client's program.
func (w *reconnect) follow(h *sim.Host) {
	w.state, w.ticks = watch.Stopped, 0
	w.w = &watch.Watch{
		Reactor: h.Reactor,
		Feed:    kernel.HostAddr("srv", 8009),
		Backoff: retry.Exponential{Initial: 200 * time.Millisecond, Max: 5 * time.Second},
		Random:  &w.random,
		Idle:    4 * time.Second,
		Line:    w.line,
		Changed: w.changed,
	}
	w.w.Start()
}

func (w *reconnect) line(line string) {
	w.ticks++
	w.total++
	if want := fmt.Sprintf("tick %d", w.ticks); line != want || w.state != watch.Connected {
		w.fail("ticks in order", "%s: heard %q, want %q", w.state, line, want)
	}
}

// paths are the allowed changes of state.
var paths = map[watch.State][]watch.State{
	watch.Stopped:    {watch.Connecting},
	watch.Connecting: {watch.Connected, watch.Waiting},
	watch.Connected:  {watch.Waiting},
	watch.Waiting:    {watch.Connecting},
}

func (w *reconnect) changed(s watch.State, err error) {
	if !slices.Contains(paths[w.state], s) || (err != nil) != (s == watch.Waiting) {
		w.fail("paths", "from %s to %s with %v", w.state, s, err)
	}
	w.state, w.ticks = s, 0
	if s == watch.Connected {
		w.connected++
	}
	w.silent = w.silent || errors.Is(err, reactor.ErrAborted)
}

// always compares the client's state with what its reactor has.
func (w *reconnect) always() error {
	if w.w == nil || !alive(w.cli, w.w.Reactor) {
		return w.first
	}
	streams := 0
	for range w.cli.Reactor.Streams() {
		streams++
	}
	want, least, most := 0, 1, 1 // a call waits for the end of silence, or for the next attempt
	switch w.w.State() {
	case watch.Connected:
		want = 1
	case watch.Connecting: // its limit and its look-up, until they are over
		least, most = 0, 2
	}
	if calls := w.cli.Reactor.Stats().Pending; streams != want || calls < least || calls > most {
		w.fail("state is true", "%s with %d connections and %d delayed calls", w.w.State(), streams, calls)
	}
	return w.first
}

// done tells whether ticks have come since the faults ended.
func (w *reconnect) done() bool {
	if w.calm == 0 {
		w.calm = w.total + 1
	}
	return w.total > w.calm+2
}
