package reactor

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/whorl-go/whorl/internal/eyeballs"
	"github.com/whorl-go/whorl/kernel"
)

// connecting is one attempt of a connector: the look-up of its name and the conns to its
// addresses. An eyeballs.Dialer decides when which address is tried.
type connecting struct {
	c            *Connector
	dialer       eyeballs.Dialer
	timer        DelayedCall   // starts the dialer's next address
	timeoutTimer DelayedCall   // DialConfig.Timeout
	deadline     time.Duration // when timeoutTimer is due, by the reactor's clock; 0: no limit
	lookingUp    bool          // the connector has a token for the look-up
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

// named tells whether the destination is a name that must be looked up.
func (c *Connector) named() bool { return c.dest.Net == kernel.TCP && !c.dest.IP.Addr().IsValid() }

// destination returns why c.dest cannot be connected to, if that is known before a look-up
// or a conn.
func (c *Connector) destination() error {
	bad := &kernel.AddrError{Op: kernel.OpConnect, Addr: c.dest, Kind: kernel.ErrInvalidAddr}
	switch {
	case !c.named():
		return nil // the kernel knows
	case c.dest.Name == "":
		bad.Reason = "it has neither an IP nor a name"
	case c.dest.Port() == 0:
		bad.Reason = "it has no port"
	default:
		return nil
	}
	return bad
}

func (n *connecting) begin() {
	if err := n.c.destination(); err != nil {
		n.c.fail(err)
		return
	}
	n.dialer = eyeballs.Dialer{Network: n, Timer: &n.timer, Delay: n.c.cfg.AttemptDelay}
	if n.c.named() {
		n.dialer.Keep = n.c.cfg.Family.Has
		n.dialer.Start()
	} else {
		n.dialer.Start(n.c.dest.IP.Addr())
	}
}

// LookUp implements eyeballs.Network.
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

// Dial implements eyeballs.Network.
func (n *connecting) Dial(i int, ip netip.Addr) {
	c := n.c
	c.state = connConnecting
	to := c.dest
	if c.named() {
		to = kernel.TCPAddr(ip, c.dest.Port())
	}
	a := &addressAttempt{n: n, i: i, to: to}
	n.addresses = append(n.addresses, a)
	a.begin()
}

// GiveUp implements eyeballs.Network.
func (n *connecting) GiveUp(i int) { n.addresses[i].close() }

// Left implements eyeballs.Network.
func (n *connecting) Left() time.Duration {
	if n.deadline == 0 {
		return -1
	}
	return max(0, n.deadline-n.c.r.Now())
}

// Unreachable implements eyeballs.Network.
func (n *connecting) Unreachable(err error) {
	switch err {
	case nil:
		err = n.allFailed()
	case eyeballs.ErrNoAddress:
		err = fmt.Errorf("%w: no %v address", ErrUnknownHost, n.c.cfg.Family)
	}
	n.c.fail(err)
}

// allFailed is the error of an attempt in which no address could be connected to. An
// address that is still in progress has taken too long.
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

// stop cancels the timers and the look-up, and closes all conns.
func (n *connecting) stop() {
	n.timeoutTimer.Cancel()
	n.dialer.Stop()
	n.lookedUp()
	for _, a := range n.addresses {
		a.close()
	}
}

// addressAttempt connects to one address. It is a source while it has a conn.
type addressAttempt struct {
	n     *connecting
	i     int // its number for the dialer
	to    kernel.Addr
	conn  kernel.Conn
	token uint32
	again *DelayedCall // dials anew, because the queue of a UNIX listener was full
	err   error        // why it failed
}

// queueFullPause is how long a dial waits for room in the queue of a UNIX listener. Nothing tells
// when there is room.
const queueFullPause = 10 * time.Millisecond

func (a *addressAttempt) begin() {
	err := a.dial()
	switch {
	case a.n.c.connecting != a.n: // Control has given it up
		a.close()
	case err == nil:
	case err == kernel.ErrAgain: // until DialConfig.Timeout
		a.token = a.n.c.r.assignToken(a)
		a.again = a.n.c.r.CallLater(queueFullPause, func() {
			a.close()
			a.begin()
		})
	default:
		a.failed(err)
	}
}

func (a *addressAttempt) dial() error {
	c := a.n.c
	dial := func() (kernel.Conn, error) { return c.r.k.Dial(a.to, &c.cfg.DialOptions) } // Control may panic
	conn, err := protect(c.r, "Control", dial)
	if c.r.lingerers.makeRoom(err) {
		conn, err = protect(c.r, "Control", dial)
	}
	if err != nil {
		return err
	}
	a.conn = conn
	a.token = c.r.assignToken(a)
	c.token = a.token
	return c.r.k.Arm(conn, a.token, kernel.Writable)
}

// ready is called when connecting to the address has succeeded or failed.
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

// close closes the conn, if there is one, and releases the token.
func (a *addressAttempt) close() {
	if a.again != nil {
		a.again.Cancel()
		a.again = nil
		a.n.c.r.releaseToken(a.token)
	}
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
		a.n.c.r.releaseToken(a.token)
	}
}

func (a *addressAttempt) touched() {} // never touched

func (a *addressAttempt) logName() string { return a.n.c.logName() }

func (a *addressAttempt) panicked(e *PanicError) { a.n.c.panicked(e) }

func (a *addressAttempt) shutdown() { a.n.c.shutdown() }

func (a *addressAttempt) drop() {
	if a.conn != nil {
		a.conn.Close()
	}
}

// AttemptsError tells why every address of a name failed (HOST-6). errors.Is finds each
// cause.
type AttemptsError struct {
	// Errs has one error for each address, in the order in which the addresses were
	// tried. Each is an [*OpError] that names its address.
	Errs []error
}

// Error is the text of all errors on one line, with semicolons between them.
func (e *AttemptsError) Error() string {
	texts := make([]string, len(e.Errs))
	for i, err := range e.Errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns Errs.
func (e *AttemptsError) Unwrap() []error { return e.Errs }

// Family is a version of IP. The zero Family, AnyFamily, means both versions.
type Family uint8

// The families.
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

// Has tells whether ip is of the family. ip must not be an IPv4 address mapped into IPv6.
func (f Family) Has(ip netip.Addr) bool { return f == AnyFamily || ip.Is4() == (f == IPv4) }
