package flow_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// crowd is how many connections a group gets at a time: so many that several loops have some.
const crowd = 60

// onGroup serves f on the three loops of a group, and has crowd clients talk to it at a time. It returns what each has read to the end.
func onGroup(t *testing.T, g *reactor.Group, f reactor.Factory, text string) (got []string, errs []error) {
	t.Helper()
	p, err := g.Listen(loopback(), f, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, errs = make([]string, crowd), make([]error, crowd)
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() {
			c, err := net.Dial("tcp", p.Addr().String())
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(testworld.Limit))
			if _, err = io.WriteString(c, text); err == nil {
				err = c.(*net.TCPConn).CloseWrite()
			}
			var b []byte
			if err == nil {
				b, err = io.ReadAll(c)
			}
			got[i], errs[i] = string(b), err
		})
	}
	all.Wait()
	return got, errs
}

// answering is a protocol that answers and closes at the peer's end. It has no state that connections share.
type answering struct {
	reactor.Base
	lost func(err error)
}

func (a *answering) DataReceived(p []byte) { a.T.Write(p) }

func (a *answering) ConnectionLost(err error) {
	if a.lost != nil {
		a.lost(err)
	}
}

// POL-6: the loops of a group count connections together, and race for nothing.
func TestLimitConnectionsOnGroup(t *testing.T) {
	const text = "hello"
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			g := w.RunGroup(t, reactor.GroupConfig{Loops: 3})
			f := flow.LimitConnections(reactor.Each[answering](), crowd, nil)
			if !f.AnyLoop() || flow.LimitConnections(new(app1), 1, nil).AnyLoop() || flow.LimitConnections(reactor.Each[answering](), 1, new(app1)).AnyLoop() {
				t.Error("POL-6: AnyLoop is not what the factories say")
			}
			got, errs := onGroup(t, g, f, text)
			for i := range got {
				if got[i] != text || errs[i] != nil {
					t.Fatalf("POL-6: %q, %v", got[i], errs[i])
				}
			}
			wait(t, func() bool { return f.Len() == 0 })
			// Kept open, they are counted, and each loop knows its own.
			held := flow.LimitConnections(reactor.Each[answering](), crowd, nil)
			p, err := g.Listen(loopback(), held, nil)
			if err != nil {
				t.Fatal(err)
			}
			for range crowd {
				c, err := net.Dial("tcp", p.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			wait(t, func() bool { return held.Len() == crowd })
			var all, foreign atomic.Int64
			if err := g.Each(func(r *reactor.Reactor) error {
				for _, c := range held.Connections(r) {
					if all.Add(1); c.Reactor() != r {
						foreign.Add(1)
					}
				}
				return nil
			}); err != nil || all.Load() != crowd || foreign.Load() != 0 {
				t.Errorf("POL-6: %v, %d connections, %d of them of other loops", err, all.Load(), foreign.Load())
			}
			more, err := net.Dial("tcp", p.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer more.Close()
			more.SetDeadline(time.Now().Add(testworld.Limit))
			if n, err := more.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("POL-6: one more: %d, %v", n, err)
			}
		})
	}
}

// app1 is a factory that does not say that several loops may use it.
type app1 struct{}

func (*app1) BuildProtocol(kernel.Addr) reactor.Protocol { return new(answering) }

// POL-11: the loops of a group number the logs together: each number is given once.
func TestLogTrafficOnGroup(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			g := w.RunGroup(t, reactor.GroupConfig{Loops: 3})
			var mu sync.Mutex
			opened, lost := map[int]bool{}, 0
			f := flow.LogTraffic(reactor.Each[answering](), func(n int, _ reactor.Transport) flow.TrafficLog {
				mu.Lock()
				defer mu.Unlock()
				opened[n] = true
				return lines(func() { mu.Lock(); defer mu.Unlock(); lost++ })
			})
			onGroup(t, g, f, "hello")
			wait(t, func() bool { mu.Lock(); defer mu.Unlock(); return lost == crowd })
			mu.Lock()
			defer mu.Unlock()
			if len(opened) != crowd || !opened[1] || !opened[crowd] {
				t.Errorf("POL-11: %d numbers for %d connections", len(opened), crowd)
			}
		})
	}
}

// lines is a TrafficLog that is told of the loss.
type lines func()

func (lines) Received([]byte) {}
func (lines) Sent([]byte)     {}
func (l lines) Lost(error)    { l() }

// POL-5: rates for each connection alone are for all loops of a group. Rates that connections share belong to the loop that has connections; those of
// the other loops are aborted, with an error that says so, and the log says it once.
func TestLimitRateOnGroup(t *testing.T) {
	const text = "hello"
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			log := testworld.NewLog(t)
			log.Expect("connections of a loop are aborted")
			g := w.RunGroup(t, reactor.GroupConfig{Loops: 3, Reactor: reactor.Config{Logger: log.Logger()}})
			each := flow.Rate{PerSecond: 1 << 30}
			own := flow.LimitRate(reactor.Each[answering](), flow.LimitOptions{Read: each, Write: each})
			if any, ok := own.(reactor.AnyLoop); !ok || !any.AnyLoop() {
				t.Error("POL-5: own rates are for several loops")
			}
			got, errs := onGroup(t, g, own, text)
			for i := range got {
				if got[i] != text || errs[i] != nil {
					t.Fatalf("POL-5: own rates: %q, %v", got[i], errs[i])
				}
			}
			for _, o := range []flow.LimitOptions{{TotalRead: each}, {GroupWrite: each, Read: each}} {
				var refused, served, other atomic.Int64
				f := flow.LimitRate(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
					return &answering{lost: func(err error) {
						switch {
						case errors.Is(err, flow.ErrSeveralLoops):
							refused.Add(1)
						case err == io.EOF:
							served.Add(1)
						default:
							other.Add(1)
						}
					}}
				}), o)
				if f.(reactor.AnyLoop).AnyLoop() {
					t.Error("POL-5: shared rates are for one loop")
				}
				p, err := g.Listen(loopback(), f, nil)
				if err != nil {
					t.Fatal(err)
				}
				// The first one stays, so that its loop keeps the rates.
				first, err := net.Dial("tcp", p.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				io.WriteString(first, "x")
				if _, err := io.ReadFull(first, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				for range crowd {
					c, err := net.Dial("tcp", p.Addr().String())
					if err != nil {
						continue // it was aborted at once
					}
					c.(*net.TCPConn).CloseWrite()
					c.SetDeadline(time.Now().Add(testworld.Limit))
					io.ReadAll(c)
					c.Close()
				}
				first.Close()
				wait(t, func() bool { return refused.Load()+served.Load()+other.Load() == crowd+1 })
				if refused.Load() == 0 || served.Load() == 0 || other.Load() > 1 {
					t.Errorf("POL-5: %d of %d refused, %d served, %d lost for another reason", refused.Load(), crowd, served.Load(), other.Load())
				}
			}
			if n := len(log.Find("connections of a loop are aborted")); n != 2 {
				t.Errorf("POL-5: %d records for two factories", n)
			}
		})
	}
}

// wait waits until done.
func wait(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(testworld.Limit); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing came of it")
		}
	}
}
