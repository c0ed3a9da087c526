package reactor

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// Port is a listening socket, with the factory that serves it. It is for the loop's
// goroutine only.
type Port struct {
	r           *Reactor
	listener    kernel.Listener
	factory     Factory
	cfg         ListenConfig // complete
	params      streamParams // of its streams
	open        func() (kernel.Listener, error)
	requested   kernel.Addr // the argument of Listen
	addr        kernel.Addr // the address that is bound
	token       uint32
	sessions    uint32
	allowance   int // accepts per wake-up
	state       portState
	armed       bool          // the kernel reports clients that wait
	paused      bool          // by PauseAccepting
	stopDone    []func(error) // of StopListening
	resumeTimer DelayedCall   // accepts again after a failure
	limits      *portLimiter
	part        *portPart // of a port of a group; nil: it is none
	failures    int       // accepts that failed, since the last one that did not
	lastTries   int       // accepts of a port that is being stopped
	stats       PortStats

	failureLog, refusalLog, manyLog, peerLog, armLog LogLimit
}

type portState uint8

const (
	portStopped portState = iota
	portListening
	portStopping
)

const (
	firstAllowance = 100
	moreAllowance  = 20
	acceptPause    = 50 * time.Millisecond
	// skippedFailures is how many accepts in a row may fail without a pause, if each may have
	// taken a client off the queue.
	skippedFailures = 16
	// lastAccepts is how many connections a port that stops takes off its queue at most. It
	// is the greatest queue that Linux makes unless it is configured otherwise.
	lastAccepts = 4096
)

// Listen binds a stream socket to a, starts the factory f and accepts connections. Each
// connection gets a protocol from f. Port 0 means a free port, which Addr returns (TCP-1).
// The IPv4 zero address means any IPv4 address, and "::" any IPv6 address (TCP-2, TCP-6).
// At a [kernel.UNIXAddr] it makes the socket's file, with the permissions that o.UNIX says, and
// StopListening removes it if it is still this one (UNIX-1, UNIX-6). Nil and the zero value of o
// are the defaults. After Inherit, the socket may be one that is open already.
//
// An error is an [*OpError] that is ErrListen and its cause. The socket is then closed, and
// f is not in use (TCP-4, TCP-5).
func (r *Reactor) Listen(a kernel.Addr, f Factory, o *ListenConfig) (*Port, error) {
	return r.listen(a, f, o, nil)
}

// listen makes a port of the listener that open opens; nil: one of the address a, or one that is inherited. a is its
// address, as far as it is known.
func (r *Reactor) listen(a kernel.Addr, f Factory, o *ListenConfig, open func(*ListenConfig) (kernel.Listener, error)) (*Port, error) {
	cfg, err := o.complete()
	if err != nil {
		return nil, &OpError{Op: "listen", Local: a, Err: err}
	}
	p := r.newPort(a, f, cfg, open)
	if err := p.StartListening(); err != nil {
		return nil, err
	}
	return p, nil
}

// newPort makes a port that does not listen yet.
func (r *Reactor) newPort(a kernel.Addr, f Factory, cfg ListenConfig, open func(*ListenConfig) (kernel.Listener, error)) *Port {
	p := &Port{r: r, factory: f, cfg: cfg, requested: a, addr: a, allowance: firstAllowance}
	if p.open = p.openOwn; open != nil {
		p.open = func() (kernel.Listener, error) { return open(&p.cfg) }
	}
	p.params = streamParams{StreamConfig: cfg.StreamConfig, owner: p}
	if p.limits = cfg.sharedLimits(r); p.limits == nil {
		p.limits = newPortLimiter(r, cfg.PortLimits)
	}
	p.resumeTimer.Init(r, p.goOn)
	return p
}

// StartListening listens again on a stopped port, at the address that Listen was given. If
// that had port 0, the number may be another one (TCP-11). It fails with
// ErrAlreadyListening on a port that is not stopped, and with ErrAdopted on one of AdoptPort. Other
// errors are those of Listen.
func (p *Port) StartListening() error {
	r := p.r
	opError := func(err error) error { return &OpError{Op: "listen", Local: p.requested, Err: err} }
	if p.state != portStopped {
		return opError(ErrAlreadyListening)
	}
	if life := life(r.life.Load()); life == lifeEnding || life == lifeStopped {
		return opError(ErrStopped)
	}
	if err := r.reserve.hold(); err != nil {
		return opError(err)
	}
	l, err := protect(r, "Control", p.open)
	if err != nil {
		return opError(err)
	}
	p.listener, p.addr, p.failures = l, l.Local(), 0
	p.token = r.assignToken(p)
	if err = r.k.Arm(l, p.token, kernel.Readable); err == nil {
		r.log.Info("starting", slog.String("factory", LogPrefixOf(p.factory)), slog.Any("on", p.addr))
		err = p.startFactory()
	}
	if err != nil {
		l.Close()
		r.releaseToken(p.token)
		return opError(err)
	}
	p.state, p.armed = portListening, true
	p.limits.ports = append(p.limits.ports, p)
	return nil
}

// StopListening ends the port. Later, in the next turn, the connections that wait in the
// system's queue are accepted, 4096 at most, and get their protocols as usual. Then the socket
// is closed and the factory stopped. Then the address is free, and done, if not nil, is called
// once with the error of StopFactory, or nil (TCP-8, TCP-10). Connections go on.
//
// A client is reset if its handshake is not complete when the socket is closed, if it is beyond
// the 4096, or if accepting fails. It is also reset if it would have to wait for a limit of
// [PortLimits] or for ResumeAccepting: limits hold here too (TCP-98). If the reactor shuts down
// before the next turn, no connection is accepted, because it would be ended at once.
//
// On a port that is being stopped, done is called at the same end; on a stopped one, later with
// nil (TCP-9). After the reactor has stopped, done gets nil before StopListening returns (THR-32).
func (p *Port) StopListening(done func(error)) {
	if p.r.is(lifeStopped) {
		p.r.tellStopped(done)
		return
	}
	if done != nil {
		p.stopDone = append(p.stopDone, done)
	}
	if p.state == portListening {
		p.stop()
		p.arm(0)
		p.lastTries = 0
	}
	p.r.Post(p.stopLater)
}

// stopLater accepts what waits, and then ends the port. If a place that a limit leaves is on its way to another loop, which may not need it, it is
// called again.
func (p *Port) stopLater() {
	if p.acceptRest(); p.state == portStopping && p.mayHaveRoom() {
		p.r.Post(p.stopLater)
		return
	}
	p.finish()
}

// stop makes a port that listens one that is being stopped.
func (p *Port) stop() {
	p.state = portStopping
	p.resumeTimer.Cancel()
	p.limits.leave(p)
	if len(p.limits.waiting) == 0 {
		p.limits.timer.Cancel()
	}
}

// arm tells the kernel whether the port accepts. A failure is logged.
func (p *Port) arm(ready kernel.Ready) (ok bool) {
	err := p.r.k.Arm(p.listener, p.token, ready)
	if err == nil {
		p.armed = ready != 0
	} else {
		p.armLog.Log(p.r, p.r.log, slog.LevelError, "arming a port", slog.Any("on", p.addr), slog.Any("err", err))
	}
	return err == nil
}

// acceptRest accepts the connections that wait in the queue of a port that is being stopped.
// It stops at the first failure that is not about one client, and where a limit would have it
// wait, because the port has no time to do so.
func (p *Port) acceptRest() {
	for ; p.lastTries < lastAccepts && p.state == portStopping && p.room(); p.lastTries++ {
		conn, err := p.acceptConn()
		switch {
		case err == nil:
			p.accept(conn)
		case err == kernel.ErrAgain:
			p.unused()
			p.lastTries = lastAccepts
			return
		default:
			p.unused()
			p.stats.Failed++
			if !errors.Is(err, kernel.ErrPermission) && !errors.Is(err, kernel.ErrAccept) {
				p.logFailure(err)
				p.lastTries = lastAccepts
				return
			}
		}
	}
}

// finish closes the socket, stops the factory and calls the done functions.
func (p *Port) finish() {
	dones := p.stopDone // StopFactory may listen again, and stop again with another done
	p.stopDone = nil
	var err error
	if p.state == portStopping {
		p.state = portStopped
		p.limits.forget(p)
		p.listener.Close()
		p.r.releaseToken(p.token)
		p.r.log.Info(fmt.Sprintf("(%s Port %s Closed)", strings.ToUpper(p.addr.Network()), placeOf(p.addr)), slog.Any("addr", p.addr))
		err = p.stopFactory()
	}
	for _, done := range dones {
		p.r.observe(probe.Note{Kind: probe.NoteUnlistened, Token: p.token, Err: err})
		_ = p.r.guard("StopListening", func() { done(err) })
	}
}

// placeOf is the port number of a, or the quoted name of a UNIX address (UNIX-5).
func placeOf(a kernel.Addr) string {
	if a.Net == kernel.UNIX || a.Net == kernel.UNIXDatagram {
		return strconv.Quote(a.Name)
	}
	return strconv.Itoa(int(a.Port()))
}

// Addr is the address at which the port listens, with the number that the system chose. On
// a stopped port it is the last such address.
func (p *Port) Addr() kernel.Addr { return p.addr }

// Listening tells whether the port is open. It is also while limits or PauseAccepting let
// clients wait.
func (p *Port) Listening() bool { return p.state == portListening }

// Reactor is the loop the port belongs to.
func (p *Port) Reactor() *Reactor { return p.r }

// String shows the factory, and while it listens the port number or the quoted path (TCP-49).
func (p *Port) String() string {
	if p.state != portListening {
		return fmt.Sprintf("<%s (not listening)>", LogPrefixOf(p.factory))
	}
	return fmt.Sprintf("<%s on %s>", LogPrefixOf(p.factory), placeOf(p.addr))
}

// PortStats are counters of a port.
type PortStats struct {
	Accepted uint64 // connections accepted
	Refused  uint64 // of these, refused by the factory or by a limit, or because no descriptor was left
	Failed   uint64 // accepts that failed
	Open     int    // connections that are not lost yet
	Peers    int    // peers that these belong to, and those of ShareLimits, if MaxPerPeer limits them; otherwise 0

	TooMany       uint64 // of Refused, by MaxConnections, with RefuseExcess
	TooManyOfPeer uint64 // of Refused, by MaxPerPeer

	WaitedFull   uint64 // how often clients had to wait because MaxConnections were open,
	WaitedRate   uint64 // because of AcceptRate,
	WaitedPaused uint64 // and because of PauseAccepting
}

// Stats returns a copy of the counters.
func (p *Port) Stats() PortStats {
	s := p.stats
	if s.Peers = len(p.limits.ofPeer); p.limits.shared != nil {
		s.Peers = p.limits.shared.peers()
	}
	return s
}

// ready accepts as many connections as the allowance and the limits permit. If there were as many
// as the allowance, it grows; otherwise it falls to the number that there were (TCP-15).
func (p *Port) ready(kernel.Ready) {
	if p.state != portListening || p.waits() {
		return
	}
	accepted := 0
	for tries := 0; tries < p.allowance && p.state == portListening && p.room(); tries++ {
		conn, err := p.acceptConn()
		if err != nil {
			p.unused()
		}
		if err == nil || err == kernel.ErrAgain {
			p.failures = 0 // those before have taken something off the queue
		} else if p.acceptFailed(err) {
			continue
		}
		if err != nil {
			break
		}
		accepted++
		p.accept(conn)
	}
	if accepted == p.allowance {
		p.allowance += moreAllowance
	} else {
		p.allowance = max(1, accepted)
	}
}

// acceptNext accepts one client, if one waits.
func (p *Port) acceptNext() {
	if p.limits.shared != nil && !p.room() {
		return // another loop was faster, and the port is armed
	}
	switch conn, err := p.acceptConn(); err {
	case nil:
		p.failures = 0
		p.accept(conn)
	case kernel.ErrAgain:
		p.unused()
		p.failures = 0
	default:
		p.unused()
		p.acceptFailed(err)
	}
}

// acceptFailed handles an error of Accept. It returns true if the next client is to be
// accepted at once. After most errors the socket stays ready, and the loop would spin. So the
// port pauses (TCP-19, TCP-20). The first few errors that may be about one client need no
// pause: that client has gone, and the next one may be waiting (TCP-18).
func (p *Port) acceptFailed(err error) (next bool) {
	if p.r.lingerers.makeRoom(err) {
		return true
	}
	p.stats.Failed++
	p.failures++
	defer p.publish()
	switch {
	case errors.Is(err, kernel.ErrTooManyFiles) && p.r.reserve.held:
		p.overflow()
		return false
	case p.failures > skippedFailures:
	case errors.Is(err, kernel.ErrPermission):
		return true // a firewall refused one client
	case errors.Is(err, kernel.ErrAccept):
		p.logFailure(err)
		return false
	}
	p.logFailure(err)
	p.pause()
	return false
}

// logFailure logs err, at a limited rate.
func (p *Port) logFailure(err error) {
	level := slog.LevelError
	if errors.Is(err, kernel.ErrAccept) || errors.Is(err, kernel.ErrNoResources) || errors.Is(err, kernel.ErrTooManyFiles) {
		level = slog.LevelWarn
	}
	p.failureLog.Log(p.r, p.r.log, level, "could not accept new connection", slog.Any("on", p.addr), slog.Any("err", err))
}

// pause stops accepting for acceptPause.
func (p *Port) pause() {
	p.resumeTimer.Reset(acceptPause)
	p.arm(0)
}

// resume accepts again after a pause.
func (p *Port) resume() {
	_ = p.r.reserve.hold() // it may have been lost when no descriptor was left
	if p.state == portListening && !p.arm(kernel.Readable) {
		p.resumeTimer.Reset(acceptPause)
	}
}

// accept gives a connection its protocol, unless a limit refuses it. A port of a group may give it to another loop.
func (p *Port) accept(conn kernel.Conn) {
	r := p.r
	p.stats.Accepted++
	r.stats.Accepted++
	peer := p.peer(conn)
	if limit := p.refusal(peer); limit != nil {
		p.refuse(conn, limit)
		return
	}
	if p.limits.shared == nil {
		p.limits.rate.take(r)
	}
	if p.part != nil && p.part.hands {
		p.publish() // before another loop serves it
		if p.part.handOver(p, conn) {
			return
		}
	}
	p.serve(conn, peer)
}

// serve builds the protocol of an accepted connection, and connects it.
func (p *Port) serve(conn kernel.Conn, peer netip.Prefix) {
	r := p.r
	proto, err := r.build(p.factory, conn)
	if proto == nil || err != nil {
		p.stats.Refused++
		r.stats.Refused++
		if p.limits.shared != nil {
			p.limits.shared.lost(p.limits, peer)
		}
		p.publish()
		r.discard(conn, nil) // otherwise the close is a reset
		conn.Close()         // also if the factory panicked (TCP-25, TCP-26)
		return
	}
	s := &Stream{r: r, conn: conn, proto: proto, cfg: &p.params, session: p.sessions}
	s.token = r.assignToken(s)
	p.sessions++
	p.opened(peer)
	p.publish()
	_ = s.connect(nil) // ConnectionLost tells the protocol
	r.settleOne(s)
}

// build asks f for the protocol of conn. An error is the PanicError of f.
func (r *Reactor) build(f Factory, conn kernel.Conn) (Protocol, error) {
	return protect(r, f, func() (Protocol, error) {
		r.noteBuild(conn)
		return f.BuildProtocol(conn.Remote()), nil
	})
}

func (p *Port) logPrefix(s *Stream) string {
	return fmt.Sprintf("%s,%d,%s", LogPrefixOf(s.proto), s.session, s.Remote().Host())
}

func (p *Port) describe(s *Stream) string {
	return fmt.Sprintf("<%s #%d on %s>", LogPrefixOf(s.proto), s.session, placeOf(p.addr))
}

func (p *Port) logName() string { return "reactor.Port" }

func (p *Port) touched() {} // never touched

func (p *Port) panicked(*PanicError) {} // the port goes on

func (p *Port) drop() {
	p.limits.leave(p)
	p.listener.Close()
}

func (p *Port) shutdown() {
	if p.state == portListening {
		p.stop()
	}
	p.finish()
}
