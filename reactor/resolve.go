package reactor

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/whorl-go/whorl/kernel"
)

// Resolve turns a name into addresses with the reactor's resolver. done is called once, on
// the loop's goroutine and never before Resolve returns. It gets at least one address,
// or an error that is ErrUnknownHost. The empty name means the IPv4 zero address, and an IP
// literal means itself; neither asks the resolver (CORE-46, TCP-34). cancel gives up the
// look-up; done is then not called. If the reactor has stopped, done gets ErrStopped before Resolve returns (THR-32). Resolve and cancel are for the loop's goroutine.
func (r *Reactor) Resolve(name string, done func([]netip.Addr, error)) (cancel func()) {
	if r.is(lifeStopped) {
		_ = r.guard("Resolve", func() { done(nil, &OpError{Op: "resolve", Remote: kernel.Addr{Name: name}, Err: ErrStopped}) })
		return func() {}
	}
	ip, err := netip.ParseAddr(name)
	if name == "" {
		ip, err = netip.IPv4Unspecified(), nil
	}
	if err != nil {
		failed := func(err error) error {
			return &OpError{Op: "resolve", Remote: kernel.Addr{Name: name}, Err: fmt.Errorf("%w: %w", ErrUnknownHost, err)}
		}
		finish := func(ips []netip.Addr, err error) {
			if err == nil && len(ips) == 0 {
				err = errNoAddresses
			}
			if err != nil {
				ips, err = nil, failed(err)
			}
			done(ips, err)
		}
		if r.cfg.Resolver != nil {
			return r.cfg.Resolver.Resolve(r, name, finish)
		}
		return SystemResolver{}.Resolve(r, name, finish)
	}
	cancelled := false
	r.Post(func() {
		if !cancelled {
			done([]netip.Addr{ip}, nil)
		}
	})
	return func() { cancelled = true }
}

var errNoAddresses = kernel.Sentinel("no addresses")

// SystemResolver is a Resolver that asks the system, as package net does. The reactor has
// Workers for these look-ups alone.
type SystemResolver struct{}

// Resolve looks name up off the loop, as [Resolver] says. cancel also ends the look-up.
func (SystemResolver) Resolve(r *Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	ctx, stop := context.WithCancel(context.Background())
	Work(r.work.lookUps, func() ([]netip.Addr, error) {
		ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		for i, ip := range ips {
			ips[i] = ip.Unmap()
		}
		return ips, err
	}, func(ips []netip.Addr, err error) {
		if ctx.Err() == nil {
			done(ips, err)
		}
	})
	return stop
}
