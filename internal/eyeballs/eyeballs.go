// Package eyeballs connects to a name with several addresses, as RFC 8305 (Happy
// Eyeballs) says: it tries the addresses in turn, each a little later than the one
// before, and the first connection wins.
//
// It is a machine. It has no clock, no socket and no goroutine: a [Network] gives it
// all of them. Its calls must not overlap, except that it may be called from within
// [Network.Unreachable].
package eyeballs

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// The values of zero fields of a [Dialer].
const (
	DefaultTimeout = 30 * time.Second
	DefaultDelay   = 300 * time.Millisecond
)

// What [Network.Unreachable] is told, besides [Errors] and the errors of a look-up.
var (
	// ErrLookUpTimeout: the look-up took longer than Timeout.
	ErrLookUpTimeout = errors.New("the look-up timed out")
	// ErrNoAddress: the name has addresses, and Keep refused them all.
	ErrNoAddress = errors.New("no suitable address")
)

// Network looks up the name and connects to its addresses. The Dialer calls it.
type Network interface {
	// LookUp resolves the name. It calls done once, later, with an error or at least
	// one address. After cancel it does not call done.
	LookUp(done func([]netip.Addr, error)) (cancel func())
	// Dial starts attempt i at ip. Attempts are counted from 0. The attempt may take
	// limit; negative: no limit. When it has ended, later, Succeeded or Failed is to
	// be called.
	Dial(i int, ip netip.Addr, limit time.Duration)
	// GiveUp ends attempt i, which is in progress. What it comes to does not matter
	// any more; it may be told all the same.
	GiveUp(i int)
	// Unreachable tells that there will be no connection, once: because of the
	// look-up, or because all attempts have failed (Errors).
	Unreachable(err error)
}

// Timer has the Dialer's Due called, once, after d. Reset forgets what was set
// before; Cancel forgets it and sets nothing. Cancel returns whether it was set,
// which the Dialer does not need.
type Timer interface {
	Reset(d time.Duration)
	Cancel() bool
}

// Dialer connects once to a name. Its exported fields are set before Start.
type Dialer struct {
	Network Network
	Timer   Timer
	// Keep tells which addresses may be tried. Nil: all of them.
	Keep func(netip.Addr) bool
	// Timeout is how long the look-up may take, and after it each attempt. Zero:
	// DefaultTimeout; negative: no limit.
	Timeout time.Duration
	// Delay is the time between the starts of two attempts. Zero: DefaultDelay;
	// negative: the next attempt waits until the last one has failed.
	Delay time.Duration

	state    state
	cancel   func()       // of the look-up
	rest     []netip.Addr // not tried yet
	attempts []error      // why each has failed, in the order they were started; nil: it has not
}

type state uint8

const (
	idle state = iota
	lookingUp
	dialling
	over
)

// Start begins: with the look-up, or, if the addresses are known, with the first of
// them.
func (d *Dialer) Start(known ...netip.Addr) {
	if d.Timeout == 0 {
		d.Timeout = DefaultTimeout
	}
	if d.Delay == 0 {
		d.Delay = DefaultDelay
	}
	if len(known) > 0 {
		d.begin(known)
		return
	}
	d.state = lookingUp
	if d.Timeout > 0 {
		d.Timer.Reset(d.Timeout)
	}
	d.cancel = d.Network.LookUp(d.lookedUp)
}

func (d *Dialer) lookedUp(found []netip.Addr, err error) {
	if d.state != lookingUp {
		return
	}
	d.cancel = nil
	d.Timer.Cancel()
	if err != nil {
		d.unreachable(err)
		return
	}
	d.begin(found)
}

// begin tries the first of the addresses.
func (d *Dialer) begin(found []netip.Addr) {
	d.state = dialling
	if d.rest = interleave(found, d.Keep); len(d.rest) == 0 {
		d.unreachable(ErrNoAddress)
		return
	}
	d.next()
}

// Due is to be called when the time of the Timer has come.
func (d *Dialer) Due() {
	switch d.state {
	case lookingUp:
		d.unreachable(ErrLookUpTimeout)
	case dialling:
		d.next()
	}
}

// next starts an attempt at the next address, and sets the time of the one after it.
func (d *Dialer) next() {
	ip := d.rest[0]
	d.rest = d.rest[1:]
	if len(d.rest) > 0 && d.Delay > 0 {
		d.Timer.Reset(d.Delay)
	} else {
		d.Timer.Cancel()
	}
	d.attempts = append(d.attempts, nil)
	d.Network.Dial(len(d.attempts)-1, ip, d.Timeout)
}

// Succeeded tells that attempt i has made a connection. If it returns true the
// connection counts, and the other attempts were given up. If it returns false the
// Dialer was over before, and the connection is to be closed.
func (d *Dialer) Succeeded(i int) bool {
	if d.state != dialling {
		return false
	}
	d.stop(i)
	return true
}

// Failed tells that attempt i has made no connection. The next address is tried at
// once. After the last one Unreachable is called, with the errors in the order of
// the attempts.
func (d *Dialer) Failed(i int, err error) {
	if d.state != dialling {
		return
	}
	d.attempts[i] = err
	if len(d.rest) > 0 {
		d.next()
		return
	}
	if slices.Contains(d.attempts, nil) {
		return // that one may still win
	}
	d.unreachable(Errors(d.attempts))
}

func (d *Dialer) unreachable(err error) {
	d.Stop()
	d.Network.Unreachable(err)
}

// Stop gives everything up: the look-up, or all attempts. Unreachable is not called
// after it. Before Start, and after the end, it does nothing.
func (d *Dialer) Stop() { d.stop(-1) }

// stop gives up everything but attempt winner.
func (d *Dialer) stop(winner int) {
	if d.state == idle || d.state == over {
		return
	}
	d.state = over
	d.Timer.Cancel()
	if d.cancel != nil {
		d.cancel()
		d.cancel = nil
	}
	for i, err := range d.attempts {
		if err == nil && i != winner {
			d.Network.GiveUp(i)
		}
	}
}

// interleave returns the addresses that may be tried, each once, IPv4 and IPv6 in
// turn. It begins with the family of the first one, and keeps the order within each
// family (HOST-4).
func interleave(found []netip.Addr, keep func(netip.Addr) bool) []netip.Addr {
	var same, other, all []netip.Addr
	for _, ip := range found {
		ip = ip.Unmap()
		switch {
		case keep != nil && !keep(ip) || slices.Contains(same, ip) || slices.Contains(other, ip):
		case len(same) == 0 || ip.Is4() == same[0].Is4():
			same = append(same, ip)
		default:
			other = append(other, ip)
		}
	}
	for i := range max(len(same), len(other)) {
		if i < len(same) {
			all = append(all, same[i])
		}
		if i < len(other) {
			all = append(all, other[i])
		}
	}
	return all
}

// Errors has the error of each attempt, in the order they were started.
type Errors []error

// Error is all of them on one line.
func (e Errors) Error() string {
	texts := make([]string, len(e))
	for i, err := range e {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap is all of them.
func (e Errors) Unwrap() []error { return e }
