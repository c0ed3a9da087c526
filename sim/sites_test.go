//go:build !race

// One goroutine does it all: the race detector could find nothing here, and makes it take
// seconds.

package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// With every rare branch forced, streams bring the same bytes, cut otherwise, in
// both directions, through half-closes (TCP-69, TCP-70) and producers (PROD-4), and each
// branch is taken. A seed is a run.
func TestSites(t *testing.T) {
	var fired [sim.Sites]sim.SiteCount
	all := uint64(0)
	for seed := range uint64(seeds) {
		x := transfer{seed: seed, sites: 4, keep: seed < 20}
		if err := x.run(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		y := transfer{seed: seed, sites: 4, keep: seed < 20}
		if err := y.run(); err != nil || x.n.Hash() != y.n.Hash() {
			t.Fatalf("seed %d: hashes %x and %x: %v", seed, x.n.Hash(), y.n.Hash(), err)
		}
		if x.n.Trace() != y.n.Trace() {
			t.Fatalf("seed %d: equal hashes of different traces", seed)
		}
		all = all*31 + x.n.Hash()
		for i, c := range x.n.Fired() {
			fired[i].Passed += c.Passed
			fired[i].Fired += c.Fired
		}
	}
	t.Logf("all hashes together: %x", all) // to compare machines, and runs under -race
	for i, c := range fired {
		site := sim.Site(i)
		t.Logf("%-14v fired %7d times of %d", site, c.Fired, c.Passed)
		if !site.Resets() && (c.Fired == 0 || c.Fired == c.Passed) {
			t.Errorf("%v fired %d times of %d", site, c.Fired, c.Passed)
		}
		if site.Resets() && c.Fired > 0 {
			t.Errorf("%v fired without Net.Resets", site)
		}
	}
}

// Each site is enabled in a quarter of the runs, and a plain Net has none.
func TestSitesEnabled(t *testing.T) {
	enabled := 0
	for seed := range uint64(50) {
		x := transfer{seed: seed, sites: 1}
		if err := x.run(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for _, c := range x.n.Fired() {
			enabled += count(c.Passed > 0)
		}
		y := transfer{seed: seed}
		if err := y.run(); err != nil {
			t.Fatalf("seed %d, no sites: %v", seed, err)
		}
		for _, c := range y.n.Fired() {
			if c.Fired+c.Passed > 0 {
				t.Errorf("seed %d: %v fired in a plain Net", seed, c.Site)
			}
		}
	}
	if all := 50 * (int(sim.SitePostsLater) + 1); enabled < all/8 || enabled > all*3/8 {
		t.Errorf("%d of %d sites are enabled", enabled, all)
	}
}

// retrier asks again until it has its answer.
type retrier struct {
	reactor.Base
	want   []byte
	got    []byte
	tries  int
	redial func()
	broken bool
}

func (p *retrier) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	p.tries++
	p.got = nil
	t.Write(p.want)
}

func (p *retrier) DataReceived(b []byte) {
	p.got = append(p.got, b...)
	p.broken = p.broken || !bytes.HasPrefix(p.want, p.got)
	if len(p.got) == len(p.want) {
		p.T.Close()
	}
}

func (p *retrier) ConnectionLost(error) {
	if len(p.got) < len(p.want) {
		p.redial()
	}
}

// With resets a program that tries again still comes to its end, and what it gets is
// always a prefix.
func TestResets(t *testing.T) {
	var fired [sim.Sites]int
	for seed := range uint64(seeds) {
		n := sim.New(seed)
		n.Options = sim.Options{Sites: 4, Resets: .1, Latency: sim.Latency{Min: time.Millisecond, Max: 3 * time.Millisecond}}
		srv, cli := n.Host("srv"), n.Host("cli")
		serve(t, srv, echoes())
		p := &retrier{want: bytes.Repeat([]byte("again and "), 1000)}
		p.redial = func() {
			cli.Reactor.Dial(srv.Addr(7), reactor.One(p), nil,
				func(_ reactor.Protocol, err error) {
					if err != nil {
						p.redial()
					}
				})
		}
		n.At(0, p.redial)
		must(t, n, func() bool { return len(p.got) == len(p.want) })
		if err := n.Close(); err != nil || p.broken {
			t.Fatalf("seed %d: other bytes: %v; %v", seed, p.broken, err)
		}
		for i, c := range n.Fired() {
			fired[i] += c.Fired
		}
	}
	for site := sim.SiteReadReset; site < sim.Sites; site++ {
		t.Logf("%-14v fired %d times", site, fired[site])
		if fired[site] == 0 {
			t.Errorf("%v never fired", site)
		}
	}
}

// A connection that a site resets loses what was not read: a read finds the reset, whether the
// site strikes at the read itself or at a write before it.
func TestResetLosesUnread(t *testing.T) {
	for _, writes := range []bool{false, true} {
		n := sim.New(1)
		k := n.Kernel()
		a, b := rawPair(t, n)
		write(t, a, "unread")
		settle(t, n, k)
		n.Options.Resets = 1
		if !writes {
			expect(t, b, "", kernel.ErrReset)
		} else if _, err := b.Write([]byte("x")); !errors.Is(err, kernel.ErrReset) {
			t.Errorf("Write: %v", err)
		}
		expect(t, b, "", io.EOF)
	}
}

// What a connection writes before Close arrives, whoever closes first, and others are
// not disturbed (TCP-59).
func TestSitesClosing(t *testing.T) {
	for seed := range uint64(seeds) {
		n := sim.New(seed)
		n.Options = sim.Options{Sites: 4, Latency: sim.Latency{Max: 2 * time.Millisecond}}
		srv, cli := n.Host("srv"), n.Host("cli")
		var heard []*recorder
		serve(t, srv, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			p := new(recorder)
			heard = append(heard, p)
			return p
		}))
		want := map[string]int{}
		for i := range 20 {
			text := strings.Repeat(fmt.Sprint(i, ";"), i*i*20)
			want[text]++
			cli.Reactor.Dial(srv.Addr(7), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
				return &farewell{text: text}
			}), nil, nil)
		}
		must(t, n, func() bool {
			lost := 0
			for _, p := range heard {
				lost += count(p.lost != nil)
			}
			return lost == 20
		})
		for _, p := range heard {
			if want[p.got.String()]--; want[p.got.String()] != 0 {
				t.Fatalf("seed %d: heard %d bytes, lost with %v (TCP-59)", seed, p.got.Len(), p.lost)
			}
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// farewell says what it has and goes.
type farewell struct {
	reactor.Base
	text string
}

func (p *farewell) ConnectionMade(t reactor.Transport) {
	t.Write([]byte(p.text))
	t.Close()
}
func (p *farewell) DataReceived([]byte) {}
