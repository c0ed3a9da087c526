package sim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// eager answers whatever it is given at once.
type eager struct {
	reactor.Base
	begins bool
}

func (p *eager) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	if p.begins {
		t.Write([]byte("?"))
	}
}
func (p *eager) DataReceived(b []byte) { p.T.Write(b) }

// again is a delayed call that makes itself again without delay.
func again(r *reactor.Reactor) { r.CallLater(0, func() { again(r) }) }

// repost is a function that posts itself.
func repost(r *reactor.Reactor) { r.Post(func() { repost(r) }) }

// The error of a livelock names the callbacks that were made most often, those that do not stop and not what came before, and what lets
// time pass.
func TestLivelockNamesCallbacks(t *testing.T) {
	for _, c := range []struct {
		name  string
		start func(a, b *sim.Host)
		want  []string
	}{
		{"delayed call", func(a, _ *sim.Host) { again(a.Reactor) }, []string{"\n  a: delayed call ", "again.func1", "of no delay"}},
		{"posted function", func(_, b *sim.Host) { repost(b.Reactor) }, []string{"\n  b: posted ", "repost.func1", "posts itself"}},
		{"answers", func(a, b *sim.Host) {
			a.Reactor.Listen(a.Addr(7), single(new(eager)), nil)
			b.Reactor.Dial(a.Addr(7), single(&eager{begins: true}), nil, nil)
		}, []string{"\n  a #3: data, ", "\n  b #2: data, ", "set Options.Latency"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := sim.New(1)
			n.MaxTurns = 200
			a, b := n.Host("a"), n.Host("b")
			c.start(a, b)
			err := n.Run(time.Second)
			if !errors.Is(err, sim.ErrLivelock) {
				t.Fatalf("it ends with %v", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in\n%v", want, err)
				}
			}
			if strings.Contains(err.Error(), ": made,") {
				t.Errorf("it tells of what came before:\n%v", err)
			}
		})
	}
}

// A transfer that Chunk or small buffers cut into pieces is no livelock on a network on which no time passes, however many turns it
// takes within reason. Ends that answer each other without end are one, if their messages are cut too.
func TestLivelockIsNoTransfer(t *testing.T) {
	for _, c := range []struct {
		name    string
		o       sim.Options
		turns   int
		bytes   int
		answers bool
		want    error
	}{
		{"chunk", sim.Options{Chunk: 1}, 200, 4000, false, nil},
		{"buffers", sim.Options{SendBuffer: 10, RecvBuffer: 10}, 200, 4000, false, nil},
		{"site", sim.Options{Sites: 4}, 500, 4000, false, nil},
		{"beyond reason", sim.Options{Chunk: 1}, 10, 4000, false, sim.ErrLivelock},
		{"answers", sim.Options{Chunk: 1}, 200, 30, true, sim.ErrLivelock},
		{"answers through small buffers", sim.Options{SendBuffer: 10, RecvBuffer: 10}, 200, 30, true, sim.ErrLivelock},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := sim.New(1)
			n.MaxTurns, n.Options = c.turns, c.o
			a, b := n.Host("a"), n.Host("b")
			var to reactor.Protocol = new(eager)
			got := new(counted)
			if !c.answers {
				to = got
			}
			a.Reactor.Listen(a.Addr(7), single(to), nil)
			from := &announcer{words: []string{strings.Repeat("x", c.bytes)}}
			b.Reactor.Dial(a.Addr(7), single(&mirror{announcer: from, answers: c.answers}), nil, nil)
			err := n.Run(time.Second)
			if !errors.Is(err, c.want) {
				t.Errorf("it ends with %v", err)
			}
			if c.want == nil && got.n != c.bytes {
				t.Errorf("%d bytes have come of %d", got.n, c.bytes)
			}
		})
	}
}

// counted counts what comes.
type counted struct {
	reactor.Base
	n int
}

func (p *counted) DataReceived(b []byte) { p.n += len(b) }

// mirror announces, and may answer what comes.
type mirror struct {
	*announcer
	answers bool
	t       reactor.Transport
}

func (p *mirror) ConnectionMade(t reactor.Transport) {
	p.t = t
	p.announcer.ConnectionMade(t)
}

func (p *mirror) DataReceived(b []byte) {
	if p.answers {
		p.t.Write(b)
	}
}
