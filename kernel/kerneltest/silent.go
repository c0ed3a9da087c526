package kerneltest

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// RunSilent tests what a kernel does about peers that are gone without a word. open makes a
// new kernel for each subtest, and a function after whose call nothing that is sent to the
// conn c reaches it, as if its host had lost its power. All conns of that kernel may be
// silenced together. Subtests run in parallel. It takes three seconds of the kernel's clock.
func RunSilent(t *testing.T, open func(t *testing.T) (k kernel.Kernel, silence func(c kernel.Conn))) {
	for _, x := range []struct {
		name  string
		cases []*silent
	}{{"Gone", goneCases()}, {"Slow", slowCases()}} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel() // most of the time is waiting
			k, silence := open(t)
			g := newRig(t, k)
			defer g.end()
			g.lose(x.cases, silence)
		})
	}
}

// silent is a connection of which one end waits, and the other is gone.
type silent struct {
	name     string
	options  kernel.StreamOptions // of the end that waits
	accepted bool                 // that end was accepted; otherwise it has dialled
	lives    bool                 // the peer only does not read
	sends    int                  // bytes, or as many of them as are taken
	after    time.Duration        // how long it takes to notice

	conn, peer kernel.Conn
	heard      time.Duration // it was last heard after this time
	begin      time.Duration // and before this
}

// watching is how often the suite looks for errors. If it comes to look later, as on a busy machine, it knows when it has looked before.
const watching = 20 * time.Millisecond

func goneCases() []*silent {
	hasty := kernel.StreamOptions{KeepAlive: true, Probes: kernel.Probes{KeepIdle: time.Second, KeepInterval: time.Second, KeepCount: 2}}
	both := hasty
	both.KeepCount, both.UserTimeout = 9, 1500*time.Millisecond
	limit := kernel.StreamOptions{UserTimeout: 500 * time.Millisecond}
	return []*silent{
		// TCP-85: idle + interval * count after it was last heard.
		{name: "keepalive", options: hasty, after: 3 * time.Second},
		{name: "keepalive, accepted", options: hasty, accepted: true, after: 3 * time.Second},
		// TCP-86: with a user timeout, the first probe after it ends the connection.
		{name: "keepalive and user timeout", options: both, after: 2 * time.Second},
		// TCP-86: what was sent is not acknowledged.
		{name: "user timeout", options: limit, sends: 1, after: limit.UserTimeout},
		{name: "user timeout, accepted", options: limit, sends: 1, accepted: true, after: limit.UserTimeout},
	}
}

// slowCases are of peers that live and read nothing (TCP-86).
func slowCases() []*silent {
	limit := kernel.StreamOptions{UserTimeout: 500 * time.Millisecond}
	return []*silent{{name: "user timeout, slow peer", options: limit, sends: 64 << 20, lives: true, after: limit.UserTimeout}}
}

// lose makes the connections, silences their peers, and times how long the other ends
// wait.
func (g *rig) lose(cases []*silent, silence func(kernel.Conn)) {
	for _, x := range cases {
		var listen *kernel.ListenOptions
		var dial *kernel.DialOptions
		if x.accepted {
			listen = &kernel.ListenOptions{StreamOptions: x.options}
		} else {
			dial = &kernel.DialOptions{StreamOptions: x.options}
		}
		l, err := g.k.Listen(kernel.TCPAddr(local4(), 0), listen)
		g.supported("UserTimeout", err)
		keep(g, l)
		x.heard = g.k.Now()
		x.conn, x.peer = g.connect(l, dial)
		if x.accepted {
			x.conn, x.peer = x.peer, x.conn
		}
	}
	waiting := map[uint32]*silent{}
	for _, x := range cases {
		if !x.lives {
			silence(x.peer)
		}
		x.begin = g.k.Now()
		for left := x.sends; left > 0; {
			n, err := x.conn.Write(make([]byte, min(left, 16<<10)))
			if err == kernel.ErrAgain {
				break
			}
			if err != nil {
				g.Fatal(err)
			}
			left -= n
		}
		waiting[g.arm(x.conn, kernel.Readable)] = x
	}
	none := g.k.Now()
	for end := none + limit; len(waiting) > 0; {
		looks := g.k.Now()
		for _, e := range g.wait(looks + watching) {
			if x := waiting[e.Token]; x != nil && g.noticed(x, none) {
				delete(waiting, e.Token)
				g.arm(x.conn, 0)
			}
		}
		if none = looks; none > end {
			g.Fatalf("no error came in %v", limit)
		}
	}
}

// noticed reads, and checks the error and the time if there is one. At the time none there was none.
func (g *rig) noticed(x *silent, none time.Duration) bool {
	n, err := x.conn.Read(make([]byte, 10))
	if err == kernel.ErrAgain {
		return false
	}
	now := g.k.Now()
	e, ok := errors.AsType[*kernel.SysError](err)
	if n != 0 || !ok || e.Kind != kernel.ErrTimeout || !e.Timeout() {
		g.Errorf("%s: Read of a peer that is gone: %d, %v", x.name, n, err)
	}
	// Systems are late by some hundred milliseconds.
	if now-x.heard < x.after-300*time.Millisecond || none-x.begin > x.after+900*time.Millisecond {
		g.Errorf("%s: noticed between %v and %v; want %v", x.name, none-x.begin, now-x.heard, x.after)
	}
	return true
}
