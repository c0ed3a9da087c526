// Package eyeballs connects to a name with several addresses, as RFC 8305 (Happy
// Eyeballs) says: it tries the addresses in turn, each a little later than the one
// before, and the first connection wins.
//
// It is a machine. It has no clock, no socket and no goroutine: a [Network] gives it
// all of them. Its calls must not overlap, except that it may be called from within
// [Network.Dial] and [Network.Unreachable].
package eyeballs

import (
	"errors"
	"net/netip"
	"slices"
	"time"
)

// DefaultDelay is the value of a zero Dialer.Delay.
const DefaultDelay = 300 * time.Millisecond

// MaxAddresses is how many addresses of a name are tried. Who answers for the name chooses
// how many it has, and each attempt takes a descriptor.
const MaxAddresses = 32

// ErrNoAddress is what [Network.Unreachable] is told when the name has addresses, and
// Keep refused them all.
var ErrNoAddress = errors.New("no suitable address")

// Network looks up the name and connects to its addresses. The Dialer calls it.
type Network interface {
	// LookUp resolves the name. It calls done once, later, with an error or at least
	// one address. After cancel it does not call done.
	LookUp(done func([]netip.Addr, error)) (cancel func())
	// Dial starts attempt i at ip. Attempts are counted from 0. When it has ended, which
	// may be at once, Succeeded or Failed is to be called.
	Dial(i int, ip netip.Addr)
	// GiveUp ends attempt i, which is in progress. What it comes to does not matter
	// any more; it may be told all the same.
	GiveUp(i int)
	// Unreachable tells, once, that there will be no connection: the look-up failed with
	// err, or found no address to try (ErrNoAddress), or all attempts have failed (nil).
	Unreachable(err error)
	// Left is how much time there is for what is still to be done; negative: no limit.
	// When it is over the Network stops the Dialer.
	Left() time.Duration
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
	// Delay is the time between the starts of two attempts, which then go on side by side.
	// Zero: DefaultDelay; negative: one attempt at a time.
	//
	// Every address gets its share of the time. If Left is too short for Delay between all
	// of them, the attempts start closer together. One at a time, an attempt is given up
	// when its share is over and there is another address.
	Delay time.Duration

	state  state
	cancel func()       // of the look-up
	rest   []netip.Addr // not tried yet
	ended  []bool       // by attempt, in the order they were started
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
	if d.Delay == 0 {
		d.Delay = DefaultDelay
	}
	if len(known) > 0 {
		d.begin(known)
		return
	}
	d.state = lookingUp
	d.cancel = d.Network.LookUp(d.lookedUp)
}

func (d *Dialer) lookedUp(found []netip.Addr, err error) {
	if d.state != lookingUp {
		return
	}
	d.cancel = nil
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
	if d.state != dialling {
		return
	}
	if last := len(d.ended) - 1; d.Delay < 0 && !d.ended[last] {
		d.ended[last] = true
		d.Network.GiveUp(last)
	}
	d.next()
}

// next starts an attempt at the next address, and sets the time of the one after it.
func (d *Dialer) next() {
	ip := d.rest[0]
	d.rest = d.rest[1:]
	d.pace()
	d.ended = append(d.ended, false)
	d.Network.Dial(len(d.ended)-1, ip)
}

// pace sets the time when the attempt after the one that starts now is due.
func (d *Dialer) pace() {
	d.Timer.Cancel()
	if len(d.rest) == 0 {
		return
	}
	left := d.Network.Left()
	share := left / time.Duration(len(d.rest)+1)
	switch limited := left >= 0; {
	case d.Delay > 0 && limited:
		d.Timer.Reset(min(d.Delay, share))
	case d.Delay > 0:
		d.Timer.Reset(d.Delay)
	case limited:
		d.Timer.Reset(share)
	}
}

// Succeeded tells that attempt i has made a connection. If it returns true the
// connection counts, and the other attempts were given up. If it returns false the
// attempt or the Dialer was over before, and the connection is to be closed.
func (d *Dialer) Succeeded(i int) bool {
	if d.state != dialling || d.ended[i] {
		return false
	}
	d.stop(i)
	return true
}

// Failed tells that attempt i has made no connection. The next address is tried at
// once. After the last one Unreachable is called.
func (d *Dialer) Failed(i int) {
	if d.state != dialling || d.ended[i] {
		return
	}
	d.ended[i] = true
	switch {
	case len(d.rest) > 0:
		d.next()
	case !slices.Contains(d.ended, false): // otherwise one may still win
		d.unreachable(nil)
	}
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
	for i, ended := range d.ended {
		if !ended && i != winner {
			d.Network.GiveUp(i)
		}
	}
}

// interleave returns the addresses that may be tried, each once, IPv4 and IPv6 in
// turn. It begins with the family of the first one, and keeps the order within each
// family. There are MaxAddresses at most (HOST-4).
func interleave(found []netip.Addr, keep func(netip.Addr) bool) []netip.Addr {
	var same, other, all []netip.Addr
	for _, ip := range found {
		ip = ip.Unmap()
		switch {
		case keep != nil && !keep(ip):
		case len(same) == 0 || ip.Is4() == same[0].Is4():
			same = appendNew(same, ip)
		default:
			other = appendNew(other, ip)
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
	return all[:min(len(all), MaxAddresses)]
}

// appendNew appends ip, unless list has it or is as long as it may be. So the search is
// short however many addresses there are.
func appendNew(list []netip.Addr, ip netip.Addr) []netip.Addr {
	if len(list) == MaxAddresses || slices.Contains(list, ip) {
		return list
	}
	return append(list, ip)
}
