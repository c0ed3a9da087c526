package sim

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// simKernel is the kernel of one program on a host.
type simKernel struct {
	n       *Net
	h       *Host
	pid     int  // the number of its program
	alone   bool // it drives itself
	woken   atomic.Bool
	waits   uint64 // calls of Wait
	closed  bool
	socks   []*sock // all that are open, those not accepted yet included
	ready   []*sock // armed, and perhaps ready
	files   int     // descriptors open
	reserve bool
	signals []*watch
	numbers map[int]*sock // descriptors that are the program's
	group   *group        // of a child

	jobs     []*job // blocking work not done yet, in the order it came
	jobsMade int

	// What its reactor has, by its own account:
	lent   bool // the read buffer, to a protocol
	chunks pieces

	lentPackets []kernel.Packet // by the last ReadPackets

	// Of one that does not drive itself:
	touched  bool          // turn it, whatever it waits for
	ended    bool          // its reactor is closed
	gone     bool          // its program is: it crashed or was killed
	until    time.Duration // of its last Wait, by the host's clock
	deadline time.Duration // the same in true time
}

// callTime is how long a Wait takes at least when a kernel drives itself. Without it
// time would stand still for a loop that always has something to do, and nothing could reach it.
const callTime = time.Microsecond

// watch is one Notify.
type watch struct {
	fn   func(os.Signal)
	sigs []os.Signal
}

var (
	_ kernel.Kernel   = (*simKernel)(nil)
	_ kernel.Reserver = (*simKernel)(nil)
	_ kernel.Signals  = (*simKernel)(nil)
	_ kernel.Named    = (*simKernel)(nil)
)

func (n *Net) newKernel(h *Host, alone bool) *simKernel {
	n.programs++
	return &simKernel{n: n, h: h, pid: n.programs, alone: alone}
}

// Name is "sim".
func (k *simKernel) Name() string { return "sim" }

// Now is kernel.Kernel.
func (k *simKernel) Now() time.Duration {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	return k.h.clock.at(k.n.now)
}

// Wake is kernel.Kernel.
func (k *simKernel) Wake() {
	if k.woken.Swap(true) || !k.alone {
		return
	}
	// Whoever sleeps has seen the mark, or is told now.
	k.n.mu.Lock()
	k.n.rouse()
	k.n.mu.Unlock()
}

// Wait is kernel.Kernel. On a host that the Net drives it never blocks, but notes
// until when it would have.
func (k *simKernel) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	n := k.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if k.alone {
		n.now += callTime
	}
	k.waits++
	if until > 0 && k.forced(SiteWaitEarly) {
		until = 0
	}
	if len(ev) > 1 && k.forced(SiteEventOne) {
		ev = ev[:1] // the rest is reported again
	}
	for idled := false; ; {
		if k.gone && !k.alone {
			return 0, nil // the program exited or was killed in this turn, which is its last
		}
		if k.closed {
			return 0, kernel.ErrClosed
		}
		if k.alone && n.broken != nil {
			return 0, n.broken
		}
		for k.alone && n.due() {
			n.step()
		}
		if k.alone {
			n.turnChild()
		}
		k.runJobs()
		got := k.collect(ev)
		woken := k.woken.Swap(false)
		if !k.alone {
			k.until = until
			if got > 0 || woken {
				k.until = 0
			}
			k.deadline = k.h.clock.truth(k.until)
			n.noteKernel(OpWait, k, got)
			return got, nil
		}
		end := k.h.clock.truth(until) // it may have been set meanwhile
		if got > 0 || woken || n.now >= end {
			n.noteKernel(OpWait, k, got)
			return got, nil
		}
		if n.turnChild() {
			continue
		}
		if next := min(n.next(), n.nextOfChildren(), end); next != kernel.Forever {
			if n.Idle != nil && !idled {
				idled = true
				n.idleOnce()
				continue
			}
			n.now, idled = next, false
			continue
		}
		n.asleep++
		n.moved.Wait()
		n.asleep--
	}
}

// idleOnce calls Idle, without the lock.
func (n *Net) idleOnce() {
	n.mu.Unlock()
	defer n.mu.Lock()
	n.Idle()
}

// pending tells whether the program has something to do now.
func (k *simKernel) pending() bool {
	return k.touched || k.deadline <= k.n.now || k.woken.Load() || k.anyReady()
}

// due is when the program has something to do, as far as is known.
func (k *simKernel) due() time.Duration {
	if k.h.busy > k.n.now && k.pending() {
		return k.n.now
	}
	return k.deadline
}

// anyReady tells whether there is something to report. Those that are no longer ready stay in
// k.ready until collect.
func (k *simKernel) anyReady() bool {
	return slices.ContainsFunc(k.ready, func(s *sock) bool { return s.armed&s.readiness() != 0 })
}

// collect fills ev, in an order drawn anew, and has the rest come first next time.
func (k *simKernel) collect(ev []kernel.Event) int {
	live := k.ready[:0]
	for _, s := range k.ready {
		if s.queued = s.armed&s.readiness() != 0; s.queued {
			live = append(live, s)
		}
	}
	clear(k.ready[len(live):])
	k.ready = live
	m := min(len(ev), len(live))
	for i := range m {
		if i+1 < m {
			j := i + k.n.random.below(m-i)
			live[i], live[j] = live[j], live[i]
		}
		ready := live[i].armed & live[i].readiness()
		live[i].reported = ready != kernel.Failed // which says nothing of a read
		ev[i] = kernel.Event{Token: live[i].token, Ready: ready}
	}
	if m < len(live) {
		slices.Reverse(live[:m])
		slices.Reverse(live[m:])
		slices.Reverse(live)
	}
	if m < len(ev) && len(k.socks) > 0 && k.n.random.chance(k.n.Options.Spurious) {
		if s := k.socks[k.n.random.below(len(k.socks))]; s.armed != 0 && !s.queued {
			ev[m] = kernel.Event{Token: s.token, Ready: s.armed}
			m++
		}
	}
	return m
}

// check turns an address into one that can be used, or says why not.
func check(op string, a kernel.Addr) (netip.AddrPort, error) {
	if err := kernel.CheckAddr(op, a); err != nil {
		return netip.AddrPort{}, err
	}
	return netip.AddrPortFrom(a.IP.Addr().Unmap().WithZone(""), a.IP.Port()), nil
}

// spare tells whether there is a descriptor to take.
func (k *simKernel) spare(op string) error {
	switch {
	case k.closed:
		return kernel.ErrClosed
	case k.n.Options.Descriptors > 0 && k.files >= k.n.Options.Descriptors:
		return fail(op, kernel.ErrTooManyFiles)
	}
	return nil
}

// file takes a descriptor.
func (k *simKernel) file(op string) error {
	err := k.spare(op)
	if err == nil {
		k.files++
	}
	return err
}

// use is what a socket wants an address for.
type use struct {
	listens bool // otherwise it dials
	shares  bool // with others of its kind that do: ReusePort, ReuseAddr
}

// bind finds the local address for a socket.
func (k *simKernel) bind(a netip.AddrPort, u use) (netip.AddrPort, error) {
	ip := a.Addr()
	if !k.h.local(ip) && (!u.listens || !ip.IsUnspecified()) {
		return a, fail(kernel.OpBind, kernel.ErrAddrUnavailable)
	}
	if a.Port() == 0 {
		p := k.h.freePort(ip)
		if p == 0 {
			return a, fail(kernel.OpBind, kernel.ErrAddrUnavailable)
		}
		return netip.AddrPortFrom(ip, p), nil
	}
	if k.h.taken(a, u) {
		return a, fail(kernel.OpBind, kernel.ErrAddrInUse)
	}
	return a, nil
}

// Listen is kernel.Kernel.
func (k *simKernel) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	if o == nil {
		o = &kernel.ListenOptions{}
	}
	at, err := check(kernel.OpListen, a)
	if err == nil {
		err = cmp.Or(noControl(kernel.OpListen, &o.StreamOptions), kernel.CheckListen(a, o))
	}
	if err == nil && k.closed {
		err = kernel.ErrClosed
	}
	if err == nil && isUNIX(a) {
		return k.listenUNIX(a, o)
	}
	if err == nil {
		at, err = k.bind(at, use{listens: true, shares: o.ReusePort})
	}
	if err == nil {
		err = k.file(kernel.OpSocket)
	}
	if err != nil {
		return nil, err
	}
	s := &sock{state: open, l: &listener{limit: k.backlog(o)}, local: kernel.Addr{Net: kernel.TCP, IP: at},
		options: optionsOf(o.StreamOptions)}
	s.l.sock, s.l.shares = s, o.ReusePort
	k.own(s)
	p := k.h.port(at)
	p.listeners = append(p.listeners, s)
	k.n.note(OpListen, s, 0)
	return s.l, nil
}

// backlog is how many connections may wait to be accepted.
func (k *simKernel) backlog(o *kernel.ListenOptions) int {
	limit := or(k.n.Options.Backlog, defaultBacklog)
	if o.Backlog > 0 {
		limit = min(limit, o.Backlog)
	}
	return limit
}

// Dial is kernel.Kernel. An address that no host has is kernel.ErrNoRoute.
func (k *simKernel) Dial(a kernel.Addr, o *kernel.DialOptions) (kernel.Conn, error) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	to, err := check(kernel.OpConnect, a)
	if err != nil {
		return nil, err
	}
	if o == nil {
		o = &kernel.DialOptions{}
	}
	if err := cmp.Or(noControl(kernel.OpConnect, &o.StreamOptions), kernel.CheckDial(a, o)); err != nil {
		return nil, err
	}
	switch {
	case k.closed:
		return nil, kernel.ErrClosed
	case isUNIX(a):
		return k.dialUNIX(a, o)
	}
	if to.Addr().IsUnspecified() { // as systems have it
		ip := netip.IPv6Loopback()
		if to.Addr().Is4() {
			ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
		}
		to = netip.AddrPortFrom(ip, to.Port())
	}
	from, err := k.bindDial(to, o)
	if err != nil {
		return nil, err
	}
	h := k.h
	if !h.local(to.Addr()) {
		h = k.n.byIP[to.Addr()]
	}
	if h == nil {
		return nil, fail(kernel.OpConnect, kernel.ErrNoRoute)
	}
	if err = k.file(kernel.OpSocket); err != nil {
		return nil, err
	}
	s := &k.n.newPair(k.h, h).end[0]
	s.state, s.dialled, s.connects = connecting, true, true
	s.local, s.remote = kernel.Addr{Net: kernel.TCP, IP: from}, kernel.Addr{Net: kernel.TCP, IP: to}
	s.options, s.reuses = optionsOf(o.StreamOptions), o.ReuseAddr
	k.own(s)
	s.in.credit = s.recvBuffer()
	p := k.h.port(from)
	if p.dialled++; s.reuses {
		p.reusing++
	}
	k.n.note(OpDial, s, 0)
	s.out.send(SYN, 0)
	return s, nil
}

// bindDial finds the local address of a socket that dials to.
func (k *simKernel) bindDial(to netip.AddrPort, o *kernel.DialOptions) (from netip.AddrPort, err error) {
	from = netip.AddrPortFrom(k.h.source(to.Addr()), 0)
	if o.Bind != (kernel.Addr{}) {
		if from, err = check(kernel.OpBind, o.Bind); err != nil {
			return from, err
		}
		if from.Addr().Is4() != to.Addr().Is4() {
			return from, otherFamily(to.Addr())
		}
		if from.Addr().IsUnspecified() {
			if k.h.taken(from, use{shares: o.ReuseAddr}) {
				return from, fail(kernel.OpBind, kernel.ErrAddrInUse)
			}
			from = netip.AddrPortFrom(k.h.source(to.Addr()), from.Port())
		}
	}
	if from, err = k.bind(from, use{shares: o.ReuseAddr}); err == nil && o.ReuseAddr && k.h.connected(from, to) {
		err = fail(kernel.OpConnect, kernel.ErrAddrUnavailable)
	}
	return from, err
}

// own enters s among k's sockets.
func (k *simKernel) own(s *sock) {
	k.n.socks++
	s.k, s.h, s.id, s.index = k, k.h, k.n.socks, len(k.socks)
	k.socks = append(k.socks, s)
}

// disown is the reverse of own.
func (k *simKernel) disown(s *sock) {
	last := len(k.socks) - 1
	k.socks[s.index] = k.socks[last]
	k.socks[s.index].index = s.index
	k.socks[last] = nil
	k.socks = k.socks[:last]
}

// take makes s, a socket of another kernel that has no handle yet, one of k.
func (k *simKernel) take(s *sock) {
	if !s.released {
		s.k.disown(s)
	}
	s.k, s.h, s.index, s.released = k, k.h, len(k.socks), false
	k.socks = append(k.socks, s)
}

// Arm is kernel.Kernel.
func (k *simKernel) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	x := innerHandle(h)
	switch {
	case x == nil || x.k != k:
		return fmt.Errorf("sim: arm: %w: a handle of another kernel", kernel.ErrUnsupported)
	case x.noHandle() || k.closed:
		return kernel.ErrClosed
	}
	if x.l != nil || x.p != nil {
		r &^= kernel.Failed // listeners and datagram sockets have no such thing
	}
	x.token, x.armed = token, r
	if x.pipe != nil {
		x.pipe.used = true
	}
	k.n.note(OpArm, x, int(r))
	x.notify()
	return nil
}

// Close is kernel.Kernel.
func (k *simKernel) Close() error {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	k.closed, k.ended = true, true
	for _, s := range slices.Clone(k.socks) {
		if s.p != nil {
			s.end() // what comes from now on is refused
		}
	}
	k.h.alone = slices.DeleteFunc(k.h.alone, func(x *simKernel) bool { return x == k })
	k.n.rouse()
	return nil
}

// Reserve is kernel.Reserver.
func (k *simKernel) Reserve() error {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	if k.reserve {
		return nil
	}
	err := k.file(kernel.OpReserve)
	k.reserve = err == nil
	return err
}

// Release is kernel.Reserver.
func (k *simKernel) Release() bool {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	held := k.reserve
	if held {
		k.reserve = false
		k.files--
	}
	return held
}

// Notify is kernel.Signals; Host.Signal delivers.
func (k *simKernel) Notify(fn func(os.Signal), sigs ...os.Signal) (stop func()) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	w := &watch{fn, slices.Clone(sigs)}
	k.signals = append(k.signals, w)
	return func() {
		k.n.mu.Lock()
		defer k.n.mu.Unlock()
		k.signals = slices.DeleteFunc(k.signals, func(x *watch) bool { return x == w })
	}
}

// vanish ends a program and its sockets. Peers are reset if tell.
func (k *simKernel) vanish(tell bool) {
	k.n.lastEnd = closesInSilence
	if tell {
		k.n.lastEnd = closesByReset
	}
	defer func() { k.n.lastEnd = closesInOrder }()
	k.letGo()
	for len(k.socks) > 0 {
		s := k.socks[len(k.socks)-1]
		if s.of != nil || s.held() {
			s.release()
			continue
		}
		if s.l != nil {
			s.l.queue = nil // its sockets are among the others
		} else if s.out != nil {
			if tell && s.state == open {
				s.reset()
			} else {
				s.out.kill()
			}
		}
		s.end()
	}
	k.closeNumbers()
	k.closed, k.ended, k.gone = true, true, true
	k.signals, k.ready, k.jobs = nil, nil, nil
	if k.h != nil {
		k.n.left = append(k.n.left, k.h.Reactor.AtDeath()...)
	}
}
