package flow_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// policies are all factories around factories.
func policies() map[string]func(reactor.Factory) reactor.Factory {
	return map[string]func(reactor.Factory) reactor.Factory{
		"PROXY": func(f reactor.Factory) reactor.Factory {
			return flow.ReadProxy(f, &flow.ReadProxyOptions{Optional: true})
		},
		"limited": func(f reactor.Factory) reactor.Factory { return flow.LimitRate(f, flow.LimitOptions{}) },
		"timed":   func(f reactor.Factory) reactor.Factory { return flow.LimitTime(f, flow.TimeoutOptions{}) },
		"logged": func(f reactor.Factory) reactor.Factory {
			return flow.LogTraffic(f, func(int, reactor.Transport) flow.TrafficLog { return nil })
		},
		"counted": func(f reactor.Factory) reactor.Factory { return flow.LimitConnections(f, 10, nil) },
	}
}

// counting is a factory that notes how it is used.
type counting struct {
	p     reactor.Protocol
	calls []string
}

func (c *counting) BuildProtocol(kernel.Addr) reactor.Protocol {
	c.calls = append(c.calls, "build")
	return c.p
}
func (c *counting) StartFactory() error { c.calls = append(c.calls, "start"); return nil }
func (c *counting) StopFactory() error  { c.calls = append(c.calls, "stop"); return nil }
func (c *counting) LogPrefix() string   { return "Inner" }

// POL-1: a policy starts, stops and names the inner factory, and its protocols are HalfCloseListeners exactly if the inner ones are. POL-2: at the
// loss they forget each other.
func TestPolicies(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for name, policy := range policies() {
			for _, half := range []bool{false, true} {
				r := w.New(t, reactor.Config{})
				a := new(app)
				inner := &counting{p: a}
				if half {
					inner.p = listening{a}
				}
				f := policy(inner)
				if got := reactor.LogPrefixOf(f); got != "Inner ("+name+")" {
					t.Errorf("POL-1: in logs it is %q", got)
				}
				if found, ok := reactor.FactoryAs[*counting](f); !ok || found != inner {
					t.Errorf("POL-1: %s hides the inner factory", name)
				}
				port := listen(t, r, f)
				peer := w.Peer(t, port.Addr(), r)
				testworld.Until(t, func() bool { return a.T != nil }, r)
				s, ok := reactor.As[*reactor.Stream](a.T)
				if !ok {
					t.Fatalf("POL-1: %s hides the stream", name)
				}
				below := s.Protocol()
				if _, ok := reactor.ProtocolAs[reactor.HalfCloseListener](below); ok != half {
					t.Errorf("POL-1: %s: a HalfCloseListener: %v, want %v", name, ok, half)
				}
				if found, ok := reactor.ProtocolAs[*app](below); !ok || found != a {
					t.Errorf("POL-1: %s hides the protocol", name)
				}
				if got := reactor.LogPrefixOf(below); !strings.HasSuffix(got, " ("+name+")") {
					t.Errorf("POL-1: in logs the protocol is %q", got)
				}
				peer.Abort()
				testworld.Until(t, a.lost, r)
				if _, ok := reactor.ProtocolAs[*app](below); ok || reactor.Top(a.T) != a.T || a.T.(interface{ Protocol() reactor.Protocol }).Protocol() != nil {
					t.Errorf("POL-2: %s has not forgotten the protocol", name)
				}
				stopped := false
				port.StopListening(func(error) { stopped = true })
				testworld.Until(t, func() bool { return stopped }, r)
				if !slices.Equal(inner.calls, []string{"start", "build", "stop"}) {
					t.Errorf("POL-1: %s: %q", name, inner.calls)
				}
			}
			none := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil })
			if p := policy(none).BuildProtocol(loopback()); p != nil {
				t.Errorf("POL-3: %s builds %T", name, p)
			}
		}
	})
}

// POL-1: policies upon policies hold the contract of every transport.
func TestPoliciesContract(t *testing.T) {
	stack := func(p reactor.Protocol) reactor.Factory {
		f := reactor.Factory(flow.LimitConnections(reactor.One(p), 10, nil))
		f = flow.LogTraffic(f, func(int, reactor.Transport) flow.TrafficLog { return quiet{} })
		return flow.LimitTime(f, flow.TimeoutOptions{HalfClosed: defaultLimit, Total: defaultLimit})
	}
	contract(t, stack, stack)
}

// quiet is a log that keeps nothing.
type quiet struct{}

func (quiet) Received([]byte) {}
func (quiet) Sent([]byte)     {}
func (quiet) Lost(error)      {}

const defaultLimit = testworld.Limit * 10

// POL-6: connections above the maximum get the overflow protocol, or are refused; all count, until they are lost. POL-1: the live ones are known.
func TestLimitConnections(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var built, over []*app
		keep := func(all *[]*app) reactor.Factory {
			return reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { *all = append(*all, new(app)); return (*all)[len(*all)-1] })
		}
		f := flow.LimitConnections(keep(&built), 2, keep(&over))
		port := listen(t, r, f)
		var peers []*testworld.Peer
		for i := range 4 {
			peers = append(peers, w.Peer(t, port.Addr(), r))
			testworld.Until(t, func() bool { return f.Len() == i+1 }, r)
		}
		if len(built) != 2 || len(over) != 2 {
			t.Fatalf("POL-6: %d and %d were built", len(built), len(over))
		}
		live := f.Connections(r)
		for i, a := range append(built, over...) {
			if len(live) != 4 || live[i] != reactor.Transport(a.T) {
				t.Errorf("POL-1: %d: %v of %v", i, a.T, live)
			}
		}
		peers[0].Close()
		peers[2].Close()
		testworld.Until(t, func() bool { return f.Len() == 2 }, r)
		peers[1].Close()
		testworld.Until(t, func() bool { return f.Len() == 1 }, r)
		w.Peer(t, port.Addr(), r)
		testworld.Until(t, func() bool { return f.Len() == 2 }, r)
		if len(built) != 3 {
			t.Errorf("POL-6: the place is not free again")
		}
		g := flow.LimitConnections(keep(&built), 1, nil)
		port = listen(t, r, g)
		w.Peer(t, port.Addr(), r)
		testworld.Until(t, func() bool { return g.Len() == 1 }, r)
		refused, err := w.Connect(t, port.Addr(), r)
		if err == nil {
			_, err = refused.Rest()
		}
		if err == nil || g.Len() != 1 || port.Stats().Refused != 1 {
			t.Errorf("POL-6: %v, %d connections", err, g.Len())
		}
	})
}

// POL-4, POL-7: what a port limits by itself holds below any policy: the maximum, the peer, and the place is free at the loss.
func TestPortLimits(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, limits := range []reactor.PortLimits{{MaxConnections: 1, RefuseExcess: true}, {MaxPerPeer: 1}} {
			r := w.New(t, reactor.Config{})
			f := flow.LimitConnections(reactor.Each[app](), 10, nil)
			port, err := r.Listen(loopback(), f, &reactor.ListenConfig{PortLimits: limits})
			if err != nil {
				t.Fatal(err)
			}
			first := w.Peer(t, port.Addr(), r)
			testworld.Until(t, func() bool { return f.Len() == 1 }, r)
			if second, err := w.Connect(t, port.Addr(), r); err == nil { // else it was reset already
				second.Rest()
			}
			if f.Len() != 1 || port.Stats().Refused != 1 {
				t.Errorf("POL-4, POL-7: %+v: %d connections", limits, f.Len())
			}
			first.Close()
			testworld.Until(t, func() bool { return f.Len() == 0 }, r)
			w.Peer(t, port.Addr(), r)
			testworld.Until(t, func() bool { return f.Len() == 1 }, r)
		}
	})
}

// traffic is a log as text.
type traffic struct{ lines []string }

func (l *traffic) Received(p []byte) { l.add("C", string(p)) }
func (l *traffic) Sent(p []byte)     { l.add("S", string(p)) }
func (l *traffic) Lost(err error)    { l.lines = append(l.lines, "lost: "+err.Error()) }

// add joins pieces, because a stream may be cut in any way.
func (l *traffic) add(who, text string) {
	if n := len(l.lines); n > 0 && strings.HasPrefix(l.lines[n-1], who) {
		l.lines[n-1] += text
		return
	}
	l.lines = append(l.lines, who+" "+text)
}

// POL-11: one log a connection, numbered as they were made, with what was read, what was written in whichever way, and the loss, however the
// stream is cut.
func TestLogTraffic(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		logs := map[string]*traffic{}
		var a *app
		f := flow.LogTraffic(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { a = new(app); return a }), func(n int, c reactor.Transport) flow.TrafficLog {
			name := fmt.Sprint(n)
			if logs[name] != nil {
				name += " again"
			}
			logs[name] = new(traffic)
			return logs[name]
		})
		port := listen(t, r, f)
		for range 2 {
			was := a
			p := w.Peer(t, port.Addr(), r)
			p.Send("question")
			testworld.Until(t, func() bool { return a != was && a.got == "question" }, r)
			a.T.Write([]byte("an"))
			reactor.WriteShared(a.T, []byte("sw"))
			v, _ := reactor.As[reactor.Vectored](a.T)
			v.WriteVec([][]byte{[]byte("e"), nil, []byte("r")})
			p.Expect("answer")
			a.T.Close()
			a.T.Write([]byte("refused"))
			testworld.Until(t, a.lost, r)
		}
		f.ResetCounter()
		w.Peer(t, port.Addr(), r)
		testworld.Until(t, func() bool { return len(logs) == 3 }, r)
		want := []string{"C question", "S answer", "lost: " + reactor.ErrClosed.Error()}
		if !slices.Equal(logs["1"].lines, want) || !slices.Equal(logs["2"].lines, want) {
			t.Errorf("POL-11: %q and %q", logs["1"].lines, logs["2"].lines)
		}
		if logs["1 again"] == nil {
			t.Error("POL-11: the numbers do not begin anew")
		}
	})
}

// Wrapping allocates nothing for input and output.
func TestPoliciesAllocs(t *testing.T) {
	for _, policy := range policies() {
		noAllocs(t, policy, "x")
	}
}
