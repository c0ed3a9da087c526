package reactor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/internal/eyeballs"
	"github.com/whorl-go/whorl/kernel"
)

// Resolve turns a name into addresses with the reactor's resolver. done is called once, on
// the loop's goroutine and never before Resolve returns. It gets at least one address,
// or an error that is ErrUnknownHost. The empty name means the IPv4 zero address, and an IP
// literal means itself; neither asks the resolver (CORE-46, TCP-34). cancel gives up the
// look-up; done is then not called. If the reactor has stopped, done gets ErrStopped before Resolve returns (THR-32). Resolve and cancel are for the loop's goroutine.
func (r *Reactor) Resolve(name string, done func([]netip.Addr, error)) (cancel func()) {
	mustCall("Resolve", done != nil)
	if r.is(lifeStopped) {
		_ = r.guard("Resolve", func() { done(nil, &OpError{Op: "resolve", Remote: kernel.Addr{Name: name}, Err: ErrStopped}) })
		return func() {}
	}
	l := &lookUp{r: r, by: r.cfg.Resolver, name: name, done: done}
	switch ip, err := netip.ParseAddr(name); {
	case name == "":
		l.finish([]netip.Addr{netip.IPv4Unspecified()}, nil)
	case err == nil:
		l.finish([]netip.Addr{ip}, nil)
	default:
		l.ask()
	}
	l.state = lookUpWaits
	return l.giveUp
}

// lookUp is one use of a Resolver, which may be the program's. It holds that to what [Resolver] demands: one answer, not inside Resolve,
// and none after cancel.
type lookUp struct {
	r      *Reactor
	by     Resolver
	name   string
	done   func([]netip.Addr, error)
	state  lookUpState
	cancel func()
}

type lookUpState uint8

const (
	lookUpBegins lookUpState = iota // Reactor.Resolve has not returned
	lookUpWaits
	lookUpOver // done was called, or never will be
)

func (l *lookUp) ask() {
	if l.by == nil {
		l.by = SystemResolver{}
	}
	var err error
	l.cancel, err = protect(l.r, l.by, func() (func(), error) { return l.by.Resolve(l.r, l.name, l.finish), nil })
	if err != nil {
		l.finish(nil, err)
	}
}

// finish takes an answer.
func (l *lookUp) finish(ips []netip.Addr, err error) {
	switch {
	case l.state == lookUpOver:
		return
	case l.state == lookUpBegins:
		ips = slices.Clone(ips)
		l.r.Post(func() { l.finish(ips, err) })
		return
	case err == nil && len(ips) == 0:
		err = errNoAddresses
	}
	l.state = lookUpOver
	if err != nil {
		ips, err = nil, &OpError{Op: "resolve", Remote: kernel.Addr{Name: l.name}, Err: fmt.Errorf("%w: %w", ErrUnknownHost, err)}
	}
	l.done(ips, err)
}

func (l *lookUp) giveUp() {
	if l.state == lookUpOver {
		return
	}
	if l.state = lookUpOver; l.cancel != nil {
		_ = l.r.guard(l.by, l.cancel)
	}
}

var errNoAddresses = kernel.Sentinel("no addresses")

// SystemResolver is a Resolver that asks the system, as package net does. The reactor has
// Workers for these look-ups alone. "localhost" and the names below it are this host (CORE-54): no server is asked for them, and what
// the hosts file does not have is 127.0.0.1 and ::1.
type SystemResolver struct{}

// Resolve looks name up off the loop, as [Resolver] says. cancel also ends the look-up.
func (SystemResolver) Resolve(r *Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	ctx, stop := context.WithCancel(context.Background())
	Work(r.work.lookUps, func() ([]netip.Addr, error) {
		return askSystem(ctx, name)
	}, func(ips []netip.Addr, err error) {
		if ctx.Err() == nil {
			done(ips, err)
		}
	})
	return stop
}

// askSystem looks name up, and blocks meanwhile.
func askSystem(ctx context.Context, name string) ([]netip.Addr, error) {
	by, local := net.DefaultResolver, eyeballs.Local(name)
	if local != nil {
		name = strings.TrimSuffix(name, ".") // the hosts file has names without it
		by = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errNotAsked }}
	}
	ips, err := by.LookupNetIP(ctx, "ip", name)
	if local != nil && (err != nil || len(ips) == 0) {
		return local, nil
	}
	for i, ip := range ips {
		ips[i] = ip.Unmap()
	}
	return ips, err
}

var errNotAsked = kernel.Sentinel("no server is asked for a name of this host")
