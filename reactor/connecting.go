package reactor

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/whorl-go/whorl/internal/eyeballs"
	"github.com/whorl-go/whorl/kernel"
)

// connecting is one attempt of a connector: the look-up of its name, and the conns to
// the addresses. An eyeballs.Dialer decides which address is tried when.
type connecting struct {
	c            *Connector
	dialer       eyeballs.Dialer
	timer        DelayedCall // the dialer's
	timeoutTimer DelayedCall // DialConfig.Timeout
	deadline     time.Duration
	lookingUp    bool // the connector has a token, for the look-up
	addresses    []*addressAttempt
}

func newConnecting(c *Connector) *connecting {
	n := &connecting{c: c}
	n.timer.Init(c.r, n.dialer.Due)
	n.timeoutTimer.Init(c.r, n.timeout)
	if c.cfg.Timeout > 0 {
		n.deadline = after(c.r.Now(), c.cfg.Timeout)
		n.timeoutTimer.Reset(c.cfg.Timeout)
	}
	return n
}

// named tells whether the destination is a name to be looked up.
func (c *Connector) named() bool { return c.dest.Net == kernel.TCP && !c.dest.IP.Addr().IsValid() }

func (n *connecting) begin() {
	n.dialer = eyeballs.Dialer{Network: n, Timer: &n.timer, Delay: n.c.cfg.AttemptDelay}
	if n.c.named() {
		n.dialer.Keep = n.c.cfg.Family.Has
		n.dialer.Start()
	} else {
		n.dialer.Start(n.c.dest.IP.Addr())
	}
}

// LookUp is for the dialer.
func (n *connecting) LookUp(done func([]netip.Addr, error)) (cancel func()) {
	n.c.state = connResolving
	n.c.token = n.c.r.assignToken(n.c)
	n.lookingUp = true
	return n.c.r.Resolve(n.c.dest.Name, func(ips []netip.Addr, err error) {
		n.lookedUp()
		done(ips, err)
	})
}

func (n *connecting) lookedUp() {
	if n.lookingUp {
		n.lookingUp = false
		n.c.r.releaseToken(n.c.token)
	}
}

// Dial is for the dialer.
func (n *connecting) Dial(i int, ip netip.Addr) {
	c := n.c
	c.state = connConnecting
	to := c.dest
	if c.named() {
		to = kernel.TCPAddr(ip, c.dest.Port())
	}
	a := &addressAttempt{n: n, i: i, to: to}
	n.addresses = append(n.addresses, a)
	if err := a.dial(); err != nil {
		a.failed(err)
	}
}

// GiveUp is for the dialer.
func (n *connecting) GiveUp(i int) { n.addresses[i].close() }

// Left is for the dialer.
func (n *connecting) Left() time.Duration {
	if n.deadline == 0 {
		return -1
	}
	return max(0, n.deadline-n.c.r.Now())
}

// Unreachable is for the dialer.
func (n *connecting) Unreachable(err error) {
	switch err {
	case nil:
		err = n.allFailed()
	case eyeballs.ErrNoAddress:
		err = fmt.Errorf("%w: no %v address", ErrUnknownHost, n.c.cfg.Family)
	}
	n.c.fail(err)
}

// allFailed is why no address could be connected to. Those still in progress took too long.
func (n *connecting) allFailed() error {
	errs := make([]error, len(n.addresses))
	for i, a := range n.addresses {
		if errs[i] = a.err; a.err == nil {
			errs[i] = a.opError(ErrConnectTimeout)
		}
	}
	if !n.c.named() {
		return errs[0]
	}
	return n.c.opError(&AttemptsError{Errs: errs})
}

// timeout ends the attempt because its time is over (TCP-33).
func (n *connecting) timeout() {
	switch {
	case len(n.addresses) > 0:
		n.c.fail(n.allFailed())
	case n.lookingUp:
		n.c.fail(n.c.opError(fmt.Errorf("looking up: %w", ErrConnectTimeout)))
	default:
		n.c.fail(ErrConnectTimeout)
	}
}

// stop leaves no timer, no look-up and no conn.
func (n *connecting) stop() {
	n.timeoutTimer.Cancel()
	n.dialer.Stop()
	n.lookedUp()
	for _, a := range n.addresses {
		a.close()
	}
}

// addressAttempt is an address that is being connected to. It is a source while it has a
// conn.
type addressAttempt struct {
	n     *connecting
	i     int // its number for the dialer
	to    kernel.Addr
	conn  kernel.Conn
	token uint32
	err   error // why it failed
}

func (a *addressAttempt) dial() error {
	c := a.n.c
	conn, err := c.r.k.Dial(a.to, &c.cfg.DialOptions)
	if err != nil {
		return err
	}
	a.conn = conn
	a.token = c.r.assignToken(a)
	c.token = a.token
	return c.r.k.Arm(conn, a.token, kernel.Writable)
}

// ready says that connecting is over.
func (a *addressAttempt) ready(kernel.Ready) {
	switch err := a.conn.Connected(); {
	case err == kernel.ErrAgain:
	case err != nil:
		a.failed(err)
	case a.n.dialer.Succeeded(a.i):
		a.n.timeoutTimer.Cancel()
		a.n.c.connected(a)
	}
}

func (a *addressAttempt) failed(err error) {
	a.close()
	a.err = a.opError(err)
	a.n.dialer.Failed(a.i)
}

func (a *addressAttempt) opError(err error) error {
	return &OpError{Op: "dial", Local: a.n.c.cfg.Bind, Remote: a.to, Err: err}
}

// close gives the conn and the token back.
func (a *addressAttempt) close() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
		a.n.c.r.releaseToken(a.token)
	}
}

func (a *addressAttempt) touched() {} // nothing is asked of it

func (a *addressAttempt) logName() string { return a.n.c.logName() }

func (a *addressAttempt) panicked(e *PanicError) { a.n.c.panicked(e) }

func (a *addressAttempt) shutdown() { a.n.c.shutdown() }

// AttemptsError says why every address of a name failed (HOST-6). errors.Is finds each
// cause.
type AttemptsError struct {
	// Errs has one error for each address, an [*OpError] that names it, in the order in
	// which they were tried.
	Errs []error
}

// Error is all of them on one line.
func (e *AttemptsError) Error() string {
	texts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap is all of them.
func (e *AttemptsError) Unwrap() []error { return e.Errs }

// Family is a version of IP, or any.
type Family uint8

// The families. The zero Family is any.
const (
	AnyFamily Family = iota
	IPv4
	IPv6
)

// String is "IP", "IPv4" or "IPv6".
func (f Family) String() string {
	switch f {
	case IPv4:
		return "IPv4"
	case IPv6:
		return "IPv6"
	}
	return "IP"
}

// Has tells whether ip, which is not an IPv4 address mapped into IPv6, is of the family.
func (f Family) Has(ip netip.Addr) bool { return f == AnyFamily || ip.Is4() == (f == IPv4) }
