package flow_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// portion is a protocol that writes left bytes in pieces, as a producer, and then closes. It counts what it receives in count, and closes when it
// has received want bytes, unless that is 0.
type portion struct {
	reactor.Base
	left   int
	want   int
	count  *int64
	paused bool
	again  func()
}

func (p *portion) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	if p.left > 0 {
		c := reactor.ConnectionOf(t)
		c.RegisterProducer(p)
		p.ResumeProducing()
	}
}

func (p *portion) DataReceived(b []byte) {
	*p.count += int64(len(b))
	if p.want -= len(b); p.want == 0 {
		p.T.Close()
	}
}

func (p *portion) ConnectionLost(error) {
	if p.again != nil {
		p.again()
	}
}

func (p *portion) ResumeProducing() {
	for p.paused = false; !p.paused && p.left > 0; {
		n := min(p.left, 4<<10)
		p.left -= n
		p.T.Write(make([]byte, n))
	}
	if p.left == 0 {
		p.left = -1
		reactor.ConnectionOf(p.T).UnregisterProducer()
		p.T.Close()
	}
}

func (p *portion) PauseProducing() { p.paused = true }
func (p *portion) StopProducing()  { p.paused, p.left = true, -1 }

// POL-5: the rates of a group and of all hold over 10 s also for connections that come one after the other, each with little to
// pass. So what the last connection has left in debt counts for the next one.
func TestLimitInTurns(t *testing.T) {
	const rate, size = 100_000, 20_000
	at := flow.Rate{PerSecond: rate}
	for name, c := range map[string]struct {
		o      flow.LimitOptions
		writes bool
		want   int
	}{
		"groupRead":      {flow.LimitOptions{GroupRead: at}, false, 0},
		"groupReadClose": {flow.LimitOptions{GroupRead: at}, false, size},
		"groupWrite":     {flow.LimitOptions{GroupWrite: at}, true, 0},
		"totalRead":      {flow.LimitOptions{TotalRead: at}, false, 0},
		"totalReadClose": {flow.LimitOptions{TotalRead: at}, false, size},
		"totalWrite":     {flow.LimitOptions{TotalWrite: at}, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := virtual(t, reactor.Config{})
			var count int64
			made := 0
			f := flow.LimitRate(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
				made++
				if c.writes {
					return &portion{left: size, count: &count}
				}
				return &portion{want: c.want, count: &count}
			}), c.o)
			port := listen(t, r, f)
			over := false
			var dial func()
			dial = func() {
				cli := &portion{count: &count, again: dial}
				if !c.writes {
					cli.left = size
				}
				if !over && made < 500 {
					r.Dial(port.Addr(), reactor.One(cli), nil, nil)
				}
			}
			dial()
			pass(t, r, 10*time.Second)
			if over = true; count < 9*rate || count > 11*rate {
				t.Errorf("%d bytes passed by %d connections in 10 s, want %d", count, made, 10*rate)
			}
		})
	}
}

// POL-5: a group is forgotten when it has no connection and its debt is paid, without a timer.
func TestLimitForgetsGroups(t *testing.T) {
	const clients = 100
	r := virtual(t, reactor.Config{})
	var count int64
	most, n := 0, 0
	f := flow.LimitRate(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return &portion{want: 2500, count: &count} }), flow.LimitOptions{
		GroupRead: flow.Rate{PerSecond: 1000},
		Group:     func(kernel.Addr) string { n++; return strconv.Itoa(n) },
	})
	port := listen(t, r, f)
	for range clients {
		r.Dial(port.Addr(), reactor.One(&portion{left: 2500, count: new(int64)}), nil, nil)
		pass(t, r, time.Second)
		most = max(most, flow.GroupsOf(f))
	}
	if n != clients || count != 2500*clients || most < 3 || most > 5 {
		t.Errorf("%d connections, %d bytes; at most %d groups were known at a time, each for 2.5 s", n, count, most)
	}
	pass(t, r, time.Minute)
	if n := len(r.DelayedCalls()); n != 0 {
		t.Errorf("%d delayed calls without connections", n)
	}
}
