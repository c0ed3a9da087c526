package netconn

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// ListenConfig configures a Listener. Nil and the zero value are the defaults.
type ListenConfig struct {
	// Port is for [Listen]: the options of the socket, and the limits of connections.
	Port reactor.ListenConfig
	// Conn is for each accepted connection.
	Conn Config
	// Backlog is how many connections may wait for Accept. At that many the port stops accepting, and clients
	// wait in the system's queue. It goes on when half of them are left. Connections under a layer count when its handshake
	// is over, so that those that were under way come on top, and so do those that other loops of a group accept before they hear of the
	// pause. At a [Place] that cannot pause, those beyond twice the Backlog are closed. Zero or negative: 128 (NETCONN-8).
	// More than 1<<20 counts as that, because no process has so many descriptors.
	Backlog int
	// Over, unless nil, puts a layer on each connection: it wraps the factory of the Listener, as tlsio.Server does.
	// Accept returns a connection when its handshake is over. Its method ConnectionState has the result, so that
	// net/http sets Request.TLS.
	Over func(reactor.Factory) reactor.Factory
}

const (
	defaultBacklog = 128
	maxBacklog     = 1 << 20
)

// Place is where a Listener accepts: a *reactor.Port, or a listener of package endpoint. If it has the methods
// PauseAccepting and ResumeAccepting of a Port, clients wait while nobody calls Accept. If not, connections beyond
// twice the Backlog are closed at once.
type Place interface {
	Addr() kernel.Addr
	StopListening(done func(error))
}

// Listener is a port as a net.Listener. Its methods may be called from any goroutine but those of its loops.
type Listener struct {
	on    reactor.Loops
	cfg   Config // of the Conns, complete
	most  int
	place Place
	addr  net.Addr
	queue chan net.Conn // those that wait for Accept

	waiting atomic.Int32 // length of queue and more

	pausing sync.Mutex // held while the place is paused or resumed
	paused  bool       // the place accepts nobody; guarded by pausing

	mu    sync.Mutex
	more  []net.Conn    // those that wait and found no room in queue, such as after a handshake
	err   error         // why Accept fails; nil: it does not
	ended chan struct{} // is closed when err is set
}

var _ net.Listener = (*Listener)(nil)

// Listen listens at a, on one reactor or on all loops of a group, as Listen of these does. With a reactor, it is for the loop's goroutine, or before the reactor runs; elsewhere call it by
// reactor.Ask. Nil and the zero value of o are the defaults. Errors are those of Reactor.Listen.
func Listen(on reactor.Loops, a kernel.Addr, o *ListenConfig) (*Listener, error) {
	if o == nil {
		o = new(ListenConfig)
	}
	return ListenAt(on, o, portAt(on, a, o))
}

// portAt opens a port.
func portAt(on reactor.Loops, a kernel.Addr, o *ListenConfig) func(reactor.Factory) (Place, error) {
	return func(f reactor.Factory) (Place, error) { return on.ListenAt(a, f, &o.Port) }
}

// ListenAt is Listen for a place that open makes with the factory it is given: a server of package endpoint, an adopted
// socket. on is what open listens on. An error is that of open. o.Port is not used.
func ListenAt(on reactor.Loops, o *ListenConfig, open func(reactor.Factory) (Place, error)) (*Listener, error) {
	if o == nil {
		o = new(ListenConfig)
	}
	l := newListener(on, o)
	if err := l.open(o, &listening{l}, open); err != nil {
		return nil, err
	}
	return l, nil
}

func newListener(on reactor.Loops, o *ListenConfig) *Listener {
	most := o.Backlog
	if most <= 0 {
		most = defaultBacklog
	}
	most = min(most, maxBacklog) // queue has room for all, and twice as many must be a number
	return &Listener{on: on, cfg: o.Conn.complete(), most: most, queue: make(chan net.Conn, most), ended: make(chan struct{})}
}

func (l *Listener) open(o *ListenConfig, f reactor.Factory, open func(reactor.Factory) (Place, error)) error {
	if o.Over != nil {
		f = o.Over(f)
	}
	p, err := open(f)
	if err != nil {
		return err
	}
	l.mu.Lock() // a loop of a group may have a connection already
	defer l.mu.Unlock()
	l.place, l.addr = p, netAddr(p.Addr())
	return nil
}

// done is closed when the loops have ended.
func (l *Listener) done() <-chan struct{} {
	if d, ok := l.on.(interface{ Done() <-chan struct{} }); ok {
		return d.Done()
	}
	return nil
}

// Accept returns the next connection, a *Conn, or waits for one. After Close, or the end of the port, the error is net.ErrClosed, and
// after the end of the reactor reactor.ErrStopped, both in a *net.OpError (NETCONN-7).
func (l *Listener) Accept() (net.Conn, error) {
	if err := l.failure(); err != nil {
		return nil, l.opError("accept", err)
	}
	select {
	case c := <-l.queue:
		l.accepted()
		return c, nil
	default:
	}
	if l.onLoop() {
		panic(onLoopText)
	}
	select {
	case c := <-l.queue:
		l.accepted()
		return c, nil
	case <-l.ended:
	case <-l.done():
		l.end(reactor.ErrStopped)
	}
	return nil, l.opError("accept", l.failure())
}

// accepted follows what Accept took from queue.
func (l *Listener) accepted() {
	if n := l.waiting.Add(-1); int(n) != l.most/2 && int(n) < l.most {
		return
	}
	l.mu.Lock()
	l.fill()
	l.mu.Unlock()
	l.paceSoon(nil)
}

// paceSoon has pace called. here is the loop on whose goroutine the caller is, or nil.
func (l *Listener) paceSoon(here *reactor.Reactor) {
	if l.free() || here != nil && here == l.on.Lead() {
		l.pace()
	} else {
		l.on.PostLead(func(*reactor.Reactor) { l.pace() })
	}
}

// free tells whether the place is for any goroutine, not for that of the first loop.
func (l *Listener) free() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, free := l.place.(*reactor.GroupPort)
	return free
}

// Addr is where it listens, a *net.TCPAddr or a *net.UnixAddr.
func (l *Listener) Addr() net.Addr { return l.addr }

// Place is what ListenAt's open has returned: the *reactor.Port of Listen. It is for the loop's goroutine.
func (l *Listener) Place() Place { return l.place }

// Close stops listening. It returns when the address is free, so it waits for the loops, and panics on the goroutine of one. If nobody has run the
// reactor yet, it does not wait: the address is free when the reactor has begun to run, or was closed. Connections that wait for Accept are reset, and those that
// Accept has returned go on. A second Close fails with net.ErrClosed.
func (l *Listener) Close() error {
	if l.onLoop() {
		panic(onLoopText)
	}
	if !l.end(net.ErrClosed) {
		return l.opError("close", net.ErrClosed)
	}
	l.drop()
	if lead := l.on.Lead(); lead != nil && lead.Fresh() {
		l.on.PostLead(func(*reactor.Reactor) { l.place.StopListening(nil) })
		return nil
	}
	stopped, on := make(chan error, 1), make(chan *reactor.Reactor, 1)
	done := func(err error) { stopped <- err }
	if l.free() { // it ends on all loops, whatever becomes of one
		l.place.StopListening(done)
	} else {
		l.on.PostLead(func(r *reactor.Reactor) {
			on <- r
			l.place.StopListening(done)
		})
	}
	return l.await(stopped, on)
}

// onLoop tells whether the caller is in a callback of one of the loops. The place ends when all loops have ended theirs, so it must not wait on any.
func (l *Listener) onLoop() bool {
	g, ok := l.on.(*reactor.Group)
	if !ok {
		r := l.on.Lead()
		return r != nil && r.OnLoop()
	}
	for i := range g.Len() {
		if r := g.Loop(i); r != nil && r.OnLoop() {
			return true
		}
	}
	return false
}

// await waits for the end of the place. If the loop that has come from on is lost, so is the place.
func (l *Listener) await(stopped chan error, on chan *reactor.Reactor) error {
	var lost <-chan struct{}
	for {
		select {
		case err := <-stopped:
			return err
		case r := <-on:
			lost = r.Done()
		case <-lost:
			return nil
		case <-l.done():
			return nil
		}
	}
}

// drop resets the connections that wait for Accept.
func (l *Listener) drop() {
	l.mu.Lock()
	all := l.more
	l.more = nil
	l.mu.Unlock()
	for _, c := range all {
		abort(c)
	}
	for {
		select {
		case c := <-l.queue:
			l.waiting.Add(-1)
			abort(c)
		default:
			return
		}
	}
}

// end has Accept fail with err from now on. It tells whether this is the first call.
func (l *Listener) end(err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return false
	}
	l.err = err
	close(l.ended)
	return true
}

// placeEnded follows the end of the place.
func (l *Listener) placeEnded() {
	if r := l.on.Lead(); r == nil || r.Ending() {
		l.end(reactor.ErrStopped)
	} else {
		l.end(net.ErrClosed)
	}
	l.drop()
}

// failure is why Accept fails, or nil.
func (l *Listener) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: l.network(), Addr: l.addr, Err: err}
}

func (l *Listener) network() string {
	if l.addr == nil {
		return ""
	}
	return l.addr.Network()
}

// offer has Accept return c, which is x or wraps it. It is called on the loop of x.
func (l *Listener) offer(c net.Conn, x *Conn) {
	l.waiting.Add(1)
	l.mu.Lock()
	failed := l.err != nil
	if !failed {
		l.more = append(l.more, c)
		l.fill()
	}
	l.mu.Unlock()
	if failed {
		l.waiting.Add(-1)
		abort(c)
		return
	}
	x.hub.wakes()
	l.paceSoon(x.hub.r)
}

// fill moves connections to queue, as many as there is room for. l.mu must be held.
func (l *Listener) fill() {
	for i, c := range l.more {
		select {
		case l.queue <- c:
			l.more[i] = nil
		default:
			l.more = slices.Delete(l.more, 0, i)
			return
		}
	}
	l.more = l.more[:0]
}

// pace pauses the place, or resumes it, by how many connections wait. It is called on the first loop, or for the port of a group on any goroutine.
func (l *Listener) pace() {
	l.mu.Lock()
	p, ok := l.place.(pauser)
	l.mu.Unlock()
	if !ok {
		return
	}
	l.pausing.Lock()
	defer l.pausing.Unlock()
	switch n := int(l.waiting.Load()); {
	case n >= l.most && !l.paused:
		l.paused = true
		p.PauseAccepting()
		if int(l.waiting.Load()) > l.most/2 {
			return // Accept has us called again
		}
		fallthrough // Accept was faster
	case n <= l.most/2 && l.paused:
		l.paused = false
		p.ResumeAccepting()
	}
}

// pauser is a Place that can let clients wait.
type pauser interface {
	PauseAccepting()
	ResumeAccepting()
}

func abort(c net.Conn) {
	if a, ok := c.(interface{ Abort() error }); ok {
		_ = a.Abort()
	}
}

// listening is the factory of a Listener.
type listening struct{ l *Listener }

// refuses tells whether a new connection is one too many. At a place that pauses none is. Other loops of a group accept some more before they hear
// of the pause, and these clients wait in no queue any more.
func (l *Listener) refuses() bool {
	if int(l.waiting.Load()) < 2*l.most {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, pauses := l.place.(pauser)
	return l.place != nil && !pauses
}

// BuildProtocol makes the Conn of a connection.
func (f *listening) BuildProtocol(kernel.Addr) reactor.Protocol {
	l := f.l
	if l.failure() != nil {
		return new(tooLate)
	}
	if l.refuses() {
		return nil
	}
	c := &Conn{cfg: &l.cfg} // joins the loop that it is on
	c.made = func(made net.Conn, err error) {
		if err == nil {
			l.offer(made, c)
		}
	}
	return c.Protocol()
}

// tooLate is the protocol of a connection that the place has accepted after Close. Like those that waited for Accept then, it is reset.
type tooLate struct{ reactor.Base }

// ConnectionMade resets the connection.
func (*tooLate) ConnectionMade(t reactor.Transport) { t.Abort() }

// DataReceived does nothing.
func (*tooLate) DataReceived([]byte) {}

// AnyLoop is true.
func (f *listening) AnyLoop() bool { return true }

// StartFactory does nothing.
func (f *listening) StartFactory() error { return nil }

// StopFactory is called when the port has ended.
func (f *listening) StopFactory() error {
	f.l.placeEnded()
	return nil
}

// LogPrefix is the name in logs.
func (f *listening) LogPrefix() string { return "netconn.Listener" }
