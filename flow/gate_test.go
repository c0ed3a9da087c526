package flow_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
)

// told is a producer that notes what it is told.
type told struct{ events []string }

func (p *told) PauseProducing()  { p.events = append(p.events, "pause") }
func (p *told) ResumeProducing() { p.events = append(p.events, "resume") }
func (p *told) StopProducing()   { p.events = append(p.events, "stop") }

// mute is a transport that can send no more, and whose input goes on.
type mute struct{ slow }

func (b *mute) RegisterProducer(p reactor.Producer) error {
	p.StopProducing()
	return nil
}

// A producer that was stopped, because the transport can send no more, is told nothing afterwards, although the rate has it wait and lets it go on later.
func TestStoppedIsLimitedNoMore(t *testing.T) {
	for name, below := range map[string]func(*reactor.Reactor) reactor.Connection{
		"inside RegisterProducer": func(r *reactor.Reactor) reactor.Connection { return &mute{slow{stub: stub{r: r}, fast: true}} },
		"later":                   func(r *reactor.Reactor) reactor.Connection { return &slow{stub: stub{r: r}, fast: true} },
	} {
		t.Run(name, func(t *testing.T) {
			r := virtual(t, reactor.Config{})
			a, p, c := new(app), new(told), below(r)
			f := flow.LimitRate(reactor.One(a), flow.LimitOptions{Write: flow.Rate{PerSecond: 1000}})
			f.BuildProtocol(loopback()).ConnectionMade(c)
			a.T.Write(make([]byte, 5000))
			if err := reactor.ConnectionOf(a.T).RegisterProducer(p); err != nil {
				t.Fatal(err)
			}
			if s, ok := c.(*slow); ok {
				s.producer.StopProducing()
			}
			pass(t, r, 10*time.Second)
			if n := len(p.events); n == 0 || p.events[n-1] != "stop" {
				t.Errorf("told %q", p.events)
			}
		})
	}
}

// PROD-5: behind a policy too, a producer that begins on a full transport is paused by its first write.
func TestGateBeginsWhenFull(t *testing.T) {
	r := virtual(t, reactor.Config{})
	srv, most := new(app), 0
	p := &flood{size: 1000}
	srv.made = func(c reactor.Transport) {
		c.Write(make([]byte, 1<<20))
		p.T = reactor.ConnectionOf(c)
		p.T.RegisterProducer(p)
		p.ResumeProducing()
		most = p.T.Buffered()
	}
	pair(t, r, flow.LimitRate(reactor.One(srv), flow.LimitOptions{Write: flow.Rate{PerSecond: 1 << 40, Burst: 1 << 40}}), reactor.One(new(app)))
	if most > 1<<20+1000 {
		t.Errorf("the producer was paused with %d bytes", most)
	}
	srv.T.Abort()
	until(t, r, srv.lost)
}
