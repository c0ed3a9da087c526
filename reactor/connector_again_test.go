package reactor_test

import (
	"errors"
	"net/netip"
	"runtime"
	"testing"
	"weak"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// cause is why a dial fails, as an object of which a test can see whether it is still kept.
type cause struct{ text string }

func (c *cause) Error() string { return c.text }

// TCP-43: a connector that is used again begins anew. The error of an attempt tells of this attempt
// alone, and in the end nothing is kept of those that came before.
func TestConnectAgainForgets(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		answer := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}
		r, f := faultyWith(t, w, reactor.Config{Resolver: &names{answer: func() ([]netip.Addr, error) { return answer, nil }}})
		p := listen(t, r, &service{}, nil)
		var failure error
		told := 0
		c := r.Dial(kernel.HostAddr("some.example", p.Addr().Port()), one(&end{}), nil,
			func(_ reactor.Protocol, err error) { told++; failure = err })
		attempt := func(dial func(kernel.Addr) error) {
			f.Dial = dial
			before := told
			until(t, r, func() bool { return told > before })
		}
		again := func() {
			if err := c.Connect(); err != nil {
				t.Fatal(err)
			}
		}
		var kept []weak.Pointer[cause]
		attempt(func(kernel.Addr) error {
			why := &cause{"no way"}
			kept = append(kept, weak.Make(why))
			return why
		})
		all, ok := errors.AsType[*reactor.AttemptsError](failure)
		if !ok || len(all.Errs) != 2 || len(kept) != 2 {
			t.Fatalf("the first attempt, of two addresses: %v", failure)
		}

		answer = answer[:1]
		again()
		attempt(func(kernel.Addr) error { return kernel.ErrNoRoute })
		_, old := errors.AsType[*cause](failure)
		all, ok = errors.AsType[*reactor.AttemptsError](failure)
		if old || !ok || len(all.Errs) != 1 || !errors.Is(failure, kernel.ErrNoRoute) {
			t.Errorf("TCP-43: the second attempt, of one address: %v", failure)
		}

		again()
		if err := c.StopConnecting(); err != nil {
			t.Error(err)
		}
		attempt(nil)
		if !errors.Is(failure, reactor.ErrCancelled) || errors.Is(failure, kernel.ErrNoRoute) {
			t.Errorf("TCP-43: the third attempt, given up: %v", failure)
		}

		last := new(cause)
		again()
		attempt(func(kernel.Addr) error { return last })
		kept, last, all = append(kept, weak.Make(last)), nil, nil
		answer = append(answer, answer[0])
		answer[0] = netip.MustParseAddr("127.0.0.2") // where the last attempt fails first
		again()
		attempt(func(a kernel.Addr) error {
			if a.IP.Addr() != answer[0] {
				return nil
			}
			why := &cause{"no way"}
			kept = append(kept, weak.Make(why))
			return why
		})
		if failure != nil || !c.Connected() || len(kept) != 4 {
			t.Fatalf("TCP-43: the last attempt: %v", failure)
		}
		testworld.Turns(t, r, 2)
		runtime.GC()
		runtime.GC()
		for i, why := range kept {
			if why.Value() != nil {
				t.Errorf("TCP-43: error %d is still kept by a connector that is connected", i)
			}
		}
		runtime.KeepAlive(c)
	})
}

// TCP-38: StopConnecting gives up an attempt whose factory is being started, too: it is told once, and nothing of it is left.
func TestStopConnectingInStartFactory(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var c *reactor.Connector
		var results []error
		f := &startsWith{&dialer{t: t}, func() {}}
		c = r.Dial(nobody(t, r), f, nil, func(_ reactor.Protocol, err error) { results = append(results, err) })
		until(t, r, func() bool { return f.has("stop") })
		f.do = func() {
			if err := c.StopConnecting(); err != nil {
				t.Error(err)
			}
		}
		f.events = nil
		if err := c.Connect(); err != nil {
			t.Fatal(err)
		}
		if n := len(r.DelayedCalls()); n != 0 {
			t.Errorf("%d delayed calls", n)
		}
		until(t, r, func() bool { return f.has("stop") })
		if len(results) != 2 {
			t.Fatalf("TCP-38: %v", results)
		}
		isConnectError(t, results[1], reactor.ErrCancelled)
		sameEvents(t, f.events, "start", "failed", "stop")
	})
}
