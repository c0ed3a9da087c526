package flow_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// flood is a protocol that writes pieces as fast as it may, as a producer, and counts what it receives.
type flood struct {
	app
	size   int // of its pieces; 0: it writes nothing
	paused bool
	count  int64
}

func (f *flood) ConnectionMade(t reactor.Transport) {
	f.app.ConnectionMade(t)
	if f.size > 0 {
		f.T.RegisterProducer(f)
		f.ResumeProducing()
	}
}

func (f *flood) DataReceived(p []byte) { f.count += int64(len(p)) }

func (f *flood) ResumeProducing() {
	f.paused = false
	for piece := make([]byte, f.size); !f.paused; {
		if _, err := f.T.Write(piece); err != nil {
			return
		}
	}
}
func (f *flood) PauseProducing() { f.paused = true }
func (f *flood) StopProducing()  { f.paused = true }

// floods connects n pairs by limit, of which the server's ends have it. Those of writers write pieces of the sizes, the others read.
func floods(t *testing.T, o flow.LimitOptions, serverWrites bool, sizes ...int) (r *reactor.Reactor, read []*flood) {
	t.Helper()
	r = virtual(t, reactor.Config{ReadBuffer: 16 << 10})
	var srv *flood
	f := flow.LimitRate(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return srv }), o)
	for _, size := range sizes {
		srv = new(flood)
		cli := new(flood)
		if serverWrites {
			srv.size = size
			read = append(read, cli)
		} else {
			cli.size = size
			read = append(read, srv)
		}
		pair(t, r, f, reactor.One(cli))
	}
	return r, read
}

// counts are what each has received in a time.
func counts(t *testing.T, r *reactor.Reactor, d time.Duration, all []*flood) (each []float64, sum float64) {
	t.Helper()
	before := make([]int64, len(all))
	for i, f := range all {
		before[i] = f.count
	}
	pass(t, r, d)
	for i, f := range all {
		n := float64(f.count - before[i])
		each = append(each, n)
		sum += n
	}
	return each, sum
}

// near tells whether got is want to a hundredth.
func near(got, want float64) bool { return math.Abs(got-want) <= want/100 }

// POL-5: each rate is exact to 1 % over 10 s, for reading and writing, for a connection, a group and all.
func TestLimitExact(t *testing.T) {
	const rate = 2_000_003
	at := flow.Rate{PerSecond: rate}
	for name, c := range map[string]struct {
		o      flow.LimitOptions
		writes bool
		n      int
		want   float64
	}{
		"read":       {flow.LimitOptions{Read: at}, false, 1, rate},
		"write":      {flow.LimitOptions{Write: at}, true, 1, rate},
		"reads":      {flow.LimitOptions{Read: at}, false, 3, 3 * rate},
		"groupRead":  {flow.LimitOptions{GroupRead: at}, false, 3, rate},
		"groupWrite": {flow.LimitOptions{GroupWrite: at}, true, 3, rate},
		"totalRead":  {flow.LimitOptions{TotalRead: at}, false, 3, rate},
		"totalWrite": {flow.LimitOptions{TotalWrite: at}, true, 3, rate},
		"least":      {flow.LimitOptions{Read: flow.Rate{PerSecond: 3 * rate}, GroupRead: flow.Rate{PerSecond: 2 * rate}, TotalRead: at}, false, 2, rate},
	} {
		t.Run(name, func(t *testing.T) {
			sizes := []int{8 << 10, 8 << 10, 8 << 10}
			r, all := floods(t, c.o, c.writes, sizes[:c.n]...)
			for range 2 {
				if _, sum := counts(t, r, 10*time.Second, all); !near(sum, 10*c.want) {
					t.Errorf("%.0f bytes in 10 s, want %.0f: %+.2f %%", sum, 10*c.want, 100*(sum/10/c.want-1))
				} else {
					t.Logf("%.0f bytes in 10 s: %+.3f %%", sum, 100*(sum/10/c.want-1))
				}
			}
		})
	}
}

// POL-5: those who want more share a rate evenly by bytes, whatever the size of their pieces; those who want less get it.
func TestLimitFair(t *testing.T) {
	const rate = 1_000_000
	for _, writes := range []bool{false, true} {
		o := flow.LimitOptions{TotalRead: flow.Rate{PerSecond: rate}}
		if writes {
			o = flow.LimitOptions{TotalWrite: flow.Rate{PerSecond: rate}}
		}
		r, all := floods(t, o, writes, 100, 1000, 3000, 16<<10, 0)
		pass(t, r, time.Second)
		each, sum := counts(t, r, 10*time.Second, all)
		t.Logf("writes %v: %.0f of %.0f", writes, each, sum)
		if !near(sum, 10*rate) {
			t.Errorf("writes %v: %.0f bytes in 10 s", writes, sum)
		}
		for i, n := range each[:4] {
			if math.Abs(n-sum/4) > sum/4/50 {
				t.Errorf("writes %v: connection %d has had %.0f bytes, a quarter is %.0f", writes, i, n, sum/4)
			}
		}
	}
}

// POL-5: one that comes later, or was idle, has no right to what the others have had before.
func TestLimitNewcomer(t *testing.T) {
	const rate = 1_000_000
	srv, clis := new(flood), []*flood{{size: 1000}, {size: 1000}, {size: 1000}}
	var all []*flood
	r := virtual(t, reactor.Config{ReadBuffer: 16 << 10})
	f := flow.LimitRate(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return srv }), flow.LimitOptions{TotalRead: flow.Rate{PerSecond: rate}})
	for i, cli := range clis {
		srv = new(flood)
		all = append(all, srv)
		pair(t, r, f, reactor.One(cli))
		each, sum := counts(t, r, 5*time.Second, all) // from the first moment
		for _, n := range each {
			if !near(sum, 5*rate) || math.Abs(n-sum/float64(i+1)) > sum/50 {
				t.Errorf("%d connections have had %.0f", i+1, each)
				break
			}
		}
		if i == 1 {
			all[0].T.PauseProducing()
			pass(t, r, 20*time.Second)
			all[0].T.ResumeProducing()
			if each, sum := counts(t, r, 5*time.Second, all); math.Abs(each[0]-sum/2) > sum/50 {
				t.Errorf("after a pause they have had %.0f", each)
			}
		}
	}
}

// POL-5: bytes are counted exactly also if one takes less than a nanosecond.
func TestLimitSmallPieces(t *testing.T) {
	s := &stub{r: virtual(t, reactor.Config{})}
	f := &flood{}
	f.made = func(c reactor.Transport) { f.T.RegisterProducer(f) }
	p := flow.LimitRate(reactor.One(f), flow.LimitOptions{Write: flow.Rate{PerSecond: 3_000_000_000, Burst: 1}}).BuildProtocol(loopback())
	p.ConnectionMade(s)
	for i := 0; i < 100 && !f.paused; i++ {
		f.T.Write([]byte("x"))
	}
	if !f.paused || s.wrote < 3 || s.wrote > 10 {
		t.Errorf("paused %v after %d bytes", f.paused, s.wrote)
	}
	p.ConnectionLost(reactor.ErrClosed)
}

// POL-5: groups are told apart by the peer, or by Group; each has its own rate. There are
// timers only while somebody waits.
func TestLimitGroups(t *testing.T) {
	const rate = 1_000_000
	group := 0
	o := flow.LimitOptions{GroupRead: flow.Rate{PerSecond: rate}, Group: func(kernel.Addr) string { group++; return strings.Repeat("g", 1+group%2) }}
	r, all := floods(t, o, false, 1000, 1000, 1000)
	pass(t, r, time.Second)
	each, sum := counts(t, r, 10*time.Second, all)
	if !near(sum, 20*rate) || !near(each[1], 10*rate) {
		t.Errorf("%.0f, together %.0f", each, sum)
	}
	for _, f := range all {
		f.T.Abort()
	}
	until(t, r, func() bool { return all[0].lost() && all[1].lost() && all[2].lost() })
	pass(t, r, time.Second)
	if n := len(r.DelayedCalls()); n != 0 {
		t.Errorf("%d delayed calls without connections", n)
	}
}

// POL-5: after a quiet time a burst passes at once, and no more.
func TestLimitBurst(t *testing.T) {
	r := virtual(t, reactor.Config{ReadBuffer: 100})
	srv, cli := new(flood), new(app)
	pair(t, r, flow.LimitRate(reactor.One(srv), flow.LimitOptions{Read: flow.Rate{PerSecond: 1000, Burst: 5000}}), reactor.One(cli))
	pass(t, r, time.Minute)
	for range 100 {
		cli.T.Write(make([]byte, 100))
		pass(t, r, 10*time.Millisecond)
	}
	if n := srv.count; n < 5900 || n > 6200 {
		t.Errorf("%d bytes passed in a second, want 5000 and those of the second", n)
	}
}

// POL-1, POL-5: a limited connection holds the contract of every transport.
func TestLimitContract(t *testing.T) {
	o := flow.LimitOptions{Read: flow.Rate{PerSecond: 1 << 30}, TotalWrite: flow.Rate{PerSecond: 1 << 30}, GroupRead: flow.Rate{PerSecond: 1 << 30}}
	contract(t, func(p reactor.Protocol) reactor.Factory { return flow.LimitRate(reactor.One(p), o) }, reactor.One)
}

// Counting and limiting input and output allocates nothing, also when it waits.
func TestLimitAllocs(t *testing.T) {
	for _, n := range []int64{1 << 40, 1} {
		at := flow.Rate{PerSecond: n}
		noAllocs(t, func(f reactor.Factory) reactor.Factory {
			return flow.LimitRate(f, flow.LimitOptions{Read: at, Write: at, GroupRead: at, TotalWrite: at})
		}, "")
	}
}

// POL-5: behind a proxy the groups are those of the clients, as soon as they are known; what was sent before counts for that of the proxy.
func TestLimitGroupsBehindProxy(t *testing.T) {
	const rate = 1_000_000
	r := virtual(t, reactor.Config{ReadBuffer: 16 << 10})
	at := flow.Rate{PerSecond: rate}
	for _, writes := range []bool{false, true} {
		var srv *flood
		groups := map[string]int{}
		o := flow.LimitOptions{GroupRead: at, GroupWrite: at, Group: func(a kernel.Addr) string { groups[a.Host()]++; return a.Host() }}
		f := flow.ReadProxy(flow.LimitRate(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return srv }), o), nil)
		var all, srvs []*flood
		for _, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.2"} {
			srv = new(flood)
			cli := new(flood)
			if writes {
				srv.size, all = 1000, append(all, cli)
			} else {
				all = append(all, srv)
			}
			srvs = append(srvs, srv)
			pair(t, r, f, reactor.One(cli))
			pass(t, r, 10*time.Millisecond)
			cli.T.Write([]byte("PROXY TCP4 " + client + " 198.51.100.1 1 2\r\n"))
			if !writes {
				cli.size = 1000
				cli.T.RegisterProducer(cli)
				cli.ResumeProducing()
			}
		}
		pass(t, r, time.Second)
		each, sum := counts(t, r, 10*time.Second, all)
		if !near(sum, 20*rate) || !near(each[0], 10*rate) {
			t.Errorf("writes %v: %.0f, together %.0f; groups %v", writes, each, sum, groups)
		}
		for _, s := range srvs {
			s.T.Abort()
		}
		until(t, r, func() bool { return srvs[0].lost() && srvs[1].lost() && srvs[2].lost() })
		pass(t, r, time.Second)
		if n := len(r.DelayedCalls()); n != 0 {
			t.Errorf("%d delayed calls without connections", n)
		}
	}
}

// hander is a producer that leaves its place to another when it is paused.
type hander struct {
	t    reactor.Connection
	next reactor.Producer
	err  error
}

func (h *hander) ResumeProducing() {}
func (h *hander) StopProducing()   {}
func (h *hander) PauseProducing() {
	if next := h.next; next != nil {
		h.next = nil
		h.t.UnregisterProducer()
		h.err = h.t.RegisterProducer(next)
	}
}

// POL-5: a producer that takes the place of another inside the registration of that one, because the transport is full, goes on at the rate.
func TestPOL5ReplacedInRegistration(t *testing.T) {
	r := virtual(t, reactor.Config{ReadBuffer: 16 << 10})
	srv, cli := new(app), new(flood)
	f := flow.LimitRate(reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return srv }), flow.LimitOptions{Write: flow.Rate{PerSecond: 100_000}})
	pair(t, r, f, reactor.One(cli))
	if _, err := srv.T.Write(make([]byte, 200_000)); err != nil {
		t.Fatal(err)
	}
	second := &flood{size: 100}
	second.T = srv.T
	first := &hander{t: srv.T, next: second}
	if err := srv.T.RegisterProducer(first); err != nil || first.err != nil || first.next != nil {
		t.Fatalf("%v, %v, paused: %v", err, first.err, first.next == nil)
	}
	if pass(t, r, 10*time.Second); cli.count < 900_000 || cli.count > 1_100_000 {
		t.Errorf("POL-5: %d bytes came in 10 s", cli.count)
	}
	srv.T.Abort()
}
