package worlds

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/whorl-go/whorl/examples/rpc/rpc"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/retry"
	"github.com/whorl-go/whorl/sim"
)

// RPC is the client of examples/rpc, with two servers that end in order now and then. Each
// call is called back once, with the answer to it; and a call that is not idempotent is made
// once at most.
func RPC() sim.World {
	return sim.World{
		Name:   "rpc",
		About:  "a client that calls, and two servers that come and go",
		Length: 30 * time.Second,
		Setup: func(n *sim.Net) sim.Checks {
			small(n)
			w := &calls{cli: n.Host("cli"), random: chance{n.Seed()}}
			for i, name := range []string{"a", "b"} {
				n.Host(name).Start(func(h *sim.Host) { w.serve(h, time.Duration(7+4*i)*time.Second) })
			}
			w.cli.Start(w.call)
			return sim.Checks{Always: w.err, Done: w.done}
		},
	}
}

// calls is the state of the world RPC. times[i] is what became of call i.
type calls struct {
	verdict
	cli    *sim.Host
	random chance
	times  []outcome
	good   int // answers
	calm   int // the answers when the faults ended
}

type outcome struct {
	once       bool // not idempotent
	made, back int
	gone       bool // its client has crashed
}

// serve listens, and ends in order at intervals.
func (w *calls) serve(h *sim.Host, each time.Duration) {
	port, err := h.Reactor.Listen(h.Addr(7), &rpc.Server{Handlers: map[string]rpc.Handler{"do": w.do}, Beat: time.Second}, nil)
	if err != nil {
		if !errors.Is(err, reactor.ErrStopped) { // the drain has ended with its reactor
			w.fail("starts", "listening: %w", err)
		}
		return
	}
	h.Reactor.CallLater(each, func() {
		port.StopListening(nil)
		h.Reactor.Drain(reactor.DrainConfig{
			Limit: 5 * time.Second,
			Done:  func(int) { w.serve(h, each) },
		})
	})
}

// do is the handler.
func (w *calls) do(p json.RawMessage) (any, error) {
	var i int
	if err := json.Unmarshal(p, &i); err != nil || i < 0 || i >= len(w.times) {
		w.fail("whole", "call of %q: %v", p, err)
		return nil, nil
	}
	c := &w.times[i]
	if c.made++; c.once && c.made > 1 {
		w.fail("made once", "call %d was made again", i)
	}
	return i, nil
}

// call is the client's program.
func (w *calls) call(h *sim.Host) {
	for i := range w.times {
		w.times[i].gone = true
	}
	c := &rpc.Client{
		Reactor: h.Reactor,
		Servers: []kernel.Addr{kernel.HostAddr("a", 7), kernel.HostAddr("b", 7)},
		Backoff: retry.Exponential{Initial: 200 * time.Millisecond, Max: 5 * time.Second},
		Random:  &w.random,
		Beat:    time.Second,
	}
	c.Start()
	h.Reactor.Every(200*time.Millisecond, func() {
		i := len(w.times)
		once := w.random.Float64() < 0.5
		w.times = append(w.times, outcome{once: once})
		made := true
		c.Call("do", i, rpc.Options{Idempotent: !once, Timeout: 4 * time.Second}, func(p json.RawMessage, err error) {
			w.back(i, made, p, err)
		})
		made = false
	})
}

// back notes that call i was called back.
func (w *calls) back(i int, inside bool, p json.RawMessage, err error) {
	c := &w.times[i]
	c.back++
	var got int
	switch {
	case inside, c.back > 1, c.gone:
		w.fail("called back once", "call %d was called back: %+v, inside %v", i, *c, inside)
	case err == nil:
		if json.Unmarshal(p, &got) != nil || got != i || c.made == 0 {
			w.fail("own answer", "call %d, made %d times, got %s", i, c.made, p)
		}
		w.good++
	case !errors.Is(err, rpc.ErrTimeout) && !errors.Is(err, rpc.ErrLost) && !errors.Is(err, rpc.ErrClosed):
		w.fail("known errors", "call %d failed: %w", i, err)
	case c.once || errors.Is(err, rpc.ErrTimeout) || errors.Is(err, rpc.ErrClosed):
	default:
		w.fail("made again", "call %d may be made again and was not: %w", i, err)
	}
}

// done tells whether answers have come since the faults ended, and no old call waits.
func (w *calls) done() bool {
	if w.calm == 0 {
		w.calm = w.good + 1
	}
	for i := range max(0, len(w.times)-50) { // but for the last ten seconds
		if c := w.times[i]; c.back == 0 && !c.gone {
			return false
		}
	}
	return w.good > w.calm+20
}
