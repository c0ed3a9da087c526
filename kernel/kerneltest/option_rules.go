package kerneltest

import (
	"errors"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// optionErrors: a value that cannot be is an OptionError that names the option, in Listen, in
// Dial and in a setter, and changes nothing (TCP-91).
func optionErrors(g *rig) {
	wrong := map[string][]kernel.StreamOptions{
		"KeepIdle":     {{KeepAlive: true, Probes: kernel.Probes{KeepIdle: -1}}, {KeepAlive: true, Probes: kernel.Probes{KeepIdle: 32767*time.Second + 1}}, {Probes: kernel.Probes{KeepIdle: time.Second}}},
		"KeepInterval": {{KeepAlive: true, Probes: kernel.Probes{KeepInterval: -time.Second}}, {KeepAlive: true, Probes: kernel.Probes{KeepInterval: 10 * time.Hour}}, {Probes: kernel.Probes{KeepInterval: 1}}},
		"KeepCount":    {{KeepAlive: true, Probes: kernel.Probes{KeepCount: -1}}, {KeepAlive: true, Probes: kernel.Probes{KeepCount: 128}}, {Probes: kernel.Probes{KeepCount: 1}}},
		"UserTimeout":  {{UserTimeout: -1}, {UserTimeout: 25 * 24 * time.Hour}},
		"SendBuffer":   {{SendBuffer: -1}, {SendBuffer: 1<<30 + 1}},
		"RecvBuffer":   {{RecvBuffer: -1}, {RecvBuffer: 1<<30 + 1}},
	}
	l := g.listen(local4(), nil)
	_, _, t, _ := g.optioned(nil, nil)
	is := func(option, op string, err error) {
		e, ok := errors.AsType[*kernel.OptionError](err)
		if !ok || e.Option != option || e.Op != op || !errors.Is(err, kernel.ErrInvalidOption) {
			g.Errorf("%s of %s: %v", option, op, err)
		}
	}
	for option, all := range wrong {
		for _, o := range all {
			if x, err := g.k.Listen(kernel.TCPAddr(local4(), 0), &kernel.ListenOptions{StreamOptions: o}); x != nil {
				g.Errorf("Listen took %+v", o)
			} else {
				is(option, kernel.OpListen, err)
			}
			if x, err := g.k.Dial(l.Local(), &kernel.DialOptions{StreamOptions: o}); x != nil {
				g.Errorf("Dial took %+v", o)
			} else {
				is(option, kernel.OpConnect, err)
			}
			switch {
			case o.KeepAlive:
				is(option, kernel.OpOption, t.SetProbes(o.Probes))
			case o.UserTimeout != 0:
				is(option, kernel.OpOption, t.SetUserTimeout(o.UserTimeout))
			case o.SendBuffer != 0:
				is(option, kernel.OpOption, t.SetSendBuffer(o.SendBuffer))
			case o.RecvBuffer != 0:
				is(option, kernel.OpOption, t.SetRecvBuffer(o.RecvBuffer))
			}
		}
	}
	is("SendBuffer", kernel.OpOption, t.SetSendBuffer(0))
	is("RecvBuffer", kernel.OpOption, t.SetRecvBuffer(0))
	g.has("after refusals", t, true, false)
}

// optionsOfClosed: after Close each setter and getter is ErrClosed.
func optionsOfClosed(g *rig) {
	c, _, t, _ := g.optioned(nil, nil)
	c.Close()
	g.gone(c)
	_, err1 := t.NoDelay()
	_, err2 := t.KeepAlive()
	_, err3 := t.Probes()
	_, err4 := t.UserTimeout()
	_, err5 := t.SendBuffer()
	_, err6 := t.RecvBuffer()
	for i, err := range []error{err1, err2, err3, err4, err5, err6, t.SetNoDelay(true), t.SetKeepAlive(true), t.SetKeepAlive(false),
		t.SetProbes(kernel.Probes{}), t.SetUserTimeout(time.Second), t.SetSendBuffer(10_000), t.SetRecvBuffer(10_000)} {
		if err != kernel.ErrClosed && !errors.Is(err, kernel.ErrUnsupported) {
			g.Errorf("call %d after Close: %v", i, err)
		}
	}
}

// control: Control gets each socket of Listen and Dial, once, and can refuse it. A kernel
// without descriptors refuses Control (TCP-89).
func control(g *rig) {
	var got []uintptr
	no := errors.New("no")
	var answer error
	o := kernel.StreamOptions{Control: func(fd uintptr) error {
		got = append(got, fd)
		return answer
	}}
	l, err := g.k.Listen(kernel.TCPAddr(local4(), 0), &kernel.ListenOptions{StreamOptions: o})
	if err != nil {
		g.supported("Control", errors.Join(err, g.refusedDial(o)))
	}
	keep(g, l)
	c, s := g.connect(l, &kernel.DialOptions{StreamOptions: o})
	if len(got) != 2 || got[0] == got[1] {
		g.Errorf("Control was called for %v", got)
	}
	g.send(c, []byte("x"))
	g.receive(s, 1)
	answer = no
	at := l.Local()
	for op, try := range map[string]func() error{
		kernel.OpListen: func() error {
			_, err := g.k.Listen(kernel.TCPAddr(local4(), 0), &kernel.ListenOptions{StreamOptions: o})
			return err
		},
		kernel.OpConnect: func() error {
			_, err := g.k.Dial(at, &kernel.DialOptions{StreamOptions: o})
			return err
		},
	} {
		err := try()
		if e, ok := errors.AsType[*kernel.OptionError](err); !ok || e.Option != "Control" || e.Op != op || !errors.Is(err, no) {
			g.Errorf("%s: %v", op, err)
		}
	}
}

// refusedDial dials with options that the kernel must refuse, and returns the error.
func (g *rig) refusedDial(o kernel.StreamOptions) error {
	g.Helper()
	c, err := g.k.Dial(g.listen(local4(), nil).Local(), &kernel.DialOptions{StreamOptions: o})
	if err == nil {
		keep(g, c)
		g.Fatal("Dial took what Listen refused")
	}
	return err
}

// reusePort: listeners that all say so have one address, and share its connections. Without
// it the address is in use (TCP-88).
func reusePort(g *rig) {
	share := &kernel.ListenOptions{ReusePort: true}
	first, err := g.k.Listen(kernel.TCPAddr(local4(), 0), share)
	g.supported("ReusePort", err)
	keep(g, first)
	if l, err := g.k.Listen(first.Local(), nil); !errors.Is(err, kernel.ErrAddrInUse) {
		g.Errorf("a listener that does not share: %v, %v", l, err)
	}
	alone := g.listen(local4(), nil)
	if l, err := g.k.Listen(alone.Local(), share); !errors.Is(err, kernel.ErrAddrInUse) {
		g.Errorf("beside a listener that does not share: %v, %v", l, err)
	}
	second, err := g.k.Listen(first.Local(), share)
	if err != nil {
		g.Fatal(err)
	}
	keep(g, second)
	const conns = 64 // one in 2^63 times all go to one
	got := map[kernel.Listener]int{}
	for range conns {
		c := g.dial(first, nil)
		g.becomes(c, kernel.Writable)
		got[g.acceptAny(first, second)]++
	}
	if got[first] == 0 || got[second] == 0 || got[first]+got[second] != conns {
		g.Errorf("%d connections came to one and %d to the other, of %d", got[first], got[second], conns)
	}
	// One closes, and the other has all that come now.
	first.Close()
	g.gone(first)
	for range 4 {
		g.becomes(g.dial(second, nil), kernel.Writable)
		g.accept(second)
	}
}

// acceptAny waits for a connection to one of ls, and returns the one it came to.
func (g *rig) acceptAny(ls ...kernel.Listener) kernel.Listener {
	g.Helper()
	for {
		for _, l := range ls {
			c, err := l.Accept()
			if err == nil {
				keep(g, c)
				return l
			}
			if err != kernel.ErrAgain {
				g.Fatalf("Accept: %v", err)
			}
			g.arm(l, kernel.Readable)
		}
		g.wait(g.k.Now() + limit)
		for _, l := range ls {
			g.arm(l, 0)
		}
	}
}

// reuseAddr: with it one port dials several destinations, and each only once. Without it the
// port is in use (TCP-90).
func reuseAddr(g *rig) {
	a, b := g.listen(local4(), nil), g.listen(local4(), nil)
	free := g.listen(local4(), nil)
	from := kernel.DialOptions{Bind: free.Local(), ReuseAddr: true}
	free.Close()
	g.gone(free)
	c, s := g.connect(a, &from)
	if c.Local() != from.Bind || s.Remote() != from.Bind {
		g.Errorf("dialled from %v, accepted from %v; want %v", c.Local(), s.Remote(), from.Bind)
	}
	plain := kernel.DialOptions{Bind: from.Bind}
	if c, err := g.k.Dial(b.Local(), &plain); err == nil {
		keep(g, c)
		g.Error("a port in use was dialled from without ReuseAddr")
	} else {
		g.isOne("without ReuseAddr", err, kernel.ErrAddrInUse)
	}
	c, s = g.connect(b, &from)
	if c.Local() != from.Bind || s.Remote() != from.Bind {
		g.Errorf("dialled from %v, accepted from %v; want %v", c.Local(), s.Remote(), from.Bind)
	}
	if c, err := g.k.Dial(a.Local(), &from); err == nil {
		keep(g, c)
		g.Error("one port was connected to one destination twice")
	} else {
		g.isOne("the same destination", err, kernel.ErrAddrUnavailable, kernel.ErrAddrInUse)
	}
}
