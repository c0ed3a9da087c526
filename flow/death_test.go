package flow_test

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// kill has a callback end the goroutine of r's loop, as t.FailNow does.
func kill(r *reactor.Reactor) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		r.Post(runtime.Goexit)
		r.Turn(time.Second)
	}()
	<-over
}

// POL-5, POL-6: the connections of a loop whose goroutine a callback has ended are gone and are not told of it. They neither count for
// LimitConnections any more nor keep the rates of LimitRate from the loop that takes its place.
func TestPoliciesAfterDeath(t *testing.T) {
	shared := flow.LimitOptions{TotalRead: flow.Rate{PerSecond: 1 << 20}, GroupWrite: flow.Rate{PerSecond: 1 << 20}}
	for name, policy := range map[string]func(f reactor.Factory) reactor.Factory{
		"LimitConnections": func(f reactor.Factory) reactor.Factory { return flow.LimitConnections(f, 2, nil) },
		"LimitRate":        func(f reactor.Factory) reactor.Factory { return flow.LimitRate(f, shared) },
	} {
		t.Run(name, func(t *testing.T) {
			worlds(t, func(t *testing.T, w testworld.World) {
				log := testworld.NewLog(t)
				log.Expect("the loop's goroutine ends inside a callback")
				var all []*app
				f := policy(reactor.Each[answering]())
				for range 3 {
					r := w.New(t, reactor.Config{Logger: log.Logger()})
					port := listen(t, r, f)
					for range 2 {
						a := &app{made: func(c reactor.Transport) { c.Write([]byte("x")) }}
						all = append(all, a)
						r.Dial(port.Addr(), reactor.One(a), nil, func(_ reactor.Protocol, err error) {
							if err != nil {
								a.err = err // it was reset before it was made
							}
						})
						until(t, r, func() bool { return a.got != "" || a.err != nil })
						if a.err != nil {
							t.Fatalf("a connection of a loop that has taken the place of another: %v", a.err)
						}
					}
					kill(r)
					if l, ok := f.(*flow.ConnectionLimiter); ok && (l.Len() != 0 || len(l.Connections(r)) != 0) {
						t.Errorf("POL-6: %d connections count after the end of their loop", l.Len())
					}
				}
				for _, a := range all {
					if a.err != nil && !errors.Is(a.err, reactor.ErrStopped) {
						t.Errorf("a connection was told %v", a.err)
					}
				}
			})
		})
	}
}
