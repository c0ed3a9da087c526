package whorl_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// The code of docs/howto.md. The tests of it are in howto_test.go.

// limited listens with limits.
func limited(r *reactor.Reactor, addr kernel.Addr, f reactor.Factory) *reactor.Port {
	port, err := r.Listen(addr, f, &reactor.ListenConfig{PortLimits: reactor.PortLimits{
		MaxConnections: 10_000, // more wait until one ends
		MaxPerPeer:     100,    // more of one address are reset
		AcceptRate:     1_000,  // a second; more wait
	}})
	if err != nil {
		panic(err)
	}
	return port
}

// drained has workers end in order when r stops.
func drained(r *reactor.Reactor, port *reactor.Port) {
	r.AddWaitTrigger(reactor.Shutdown, func(done func()) {
		port.StopListening(nil)
		r.Post(func() { // those who waited in the port's queue have been accepted by then
			r.Drain(reactor.DrainConfig{
				Limit:     30 * time.Second,
				PerSecond: 1000, // so that clients do not all come back at once
				Done:      func(aborted int) { done() },
			})
		})
	})
}

// clock tells its client the seconds since it connected.
type clock struct {
	reactor.Base
	tick    *reactor.Ticker
	seconds int
}

func (c *clock) ConnectionMade(t reactor.Transport) {
	c.Base.ConnectionMade(t)
	c.tick = t.Reactor().Every(time.Second, func() {
		c.seconds++
		fmt.Fprintln(c.T, c.seconds)
	})
}

func (c *clock) DataReceived([]byte)  {}
func (c *clock) ConnectionLost(error) { c.tick.Stop() }

// upload takes a megabyte from its client and no more.
type upload struct {
	reactor.Base
	got int
}

func (u *upload) DataReceived(p []byte) {
	if u.got += len(p); u.got > 1<<20 {
		u.T.Abort()
	}
}

// punctual ends a connection whose next request is not complete in time. A client that sends a
// byte now and then gets no more time by that.
type punctual struct {
	receiver.Line
	limit reactor.DelayedCall
}

const requestTime = 10 * time.Second

func (p *punctual) ConnectionMade(t reactor.Transport) {
	p.limit.Init(t.Reactor(), t.Abort)
	p.limit.Reset(requestTime)
	p.LineReceived = func(line []byte) {
		p.SendLine(line)
		p.limit.Reset(requestTime)
	}
	p.Line.ConnectionMade(t)
}

func (p *punctual) ConnectionLost(err error) {
	p.limit.Cancel()
	p.Line.ConnectionLost(err)
}

// worker answers one request at a time. When the server ends, it finishes that one.
type worker struct {
	receiver.Line
	work   func(line string) (string, error) // may block
	busy   bool
	ending bool
}

func (w *worker) ConnectionMade(t reactor.Transport) {
	w.LineReceived = func(line []byte) {
		w.busy = true
		w.Hold() // the next request waits
		request := string(line)
		reactor.InThread(t.Reactor(), func() (string, error) { return w.work(request) }, w.answer)
	}
	w.Line.ConnectionMade(t)
}

func (w *worker) answer(text string, err error) {
	if err != nil {
		text = "error"
	}
	w.SendLine([]byte(text))
	w.busy = false
	if w.ending {
		w.T.Close() // the answer is sent before
		return
	}
	w.Release()
}

func (w *worker) Drain() {
	w.ending = true
	if !w.busy {
		w.T.Close()
	}
}

// hub sends each message to all of its members. It drops those that do not keep up.
type hub struct{ members []*member }

const tooSlow = 1 << 20 // bytes

func (h *hub) BuildProtocol(kernel.Addr) reactor.Protocol { return &member{hub: h} }

func (h *hub) send(message []byte) { // nobody changes message any more
	for _, m := range h.members {
		if m.T.Buffered() > tooSlow {
			m.T.Abort() // ConnectionLost comes later
			continue
		}
		reactor.WriteShared(m.T, message)
	}
}

type member struct {
	reactor.Base
	hub *hub
}

func (m *member) ConnectionMade(t reactor.Transport) {
	m.Base.ConnectionMade(t)
	m.hub.members = append(m.hub.members, m)
}

func (m *member) DataReceived(p []byte) { m.hub.send(slices.Clone(p)) }

func (m *member) ConnectionLost(error) {
	m.hub.members = slices.DeleteFunc(m.hub.members, func(o *member) bool { return o == m })
}

// front passes its connection on to a backend, in both directions.
type front struct {
	reactor.Base
	backend kernel.Addr
	dialing *reactor.Connector
}

func (f *front) ConnectionMade(t reactor.Transport) {
	f.Base.ConnectionMade(t)
	f.T.PauseProducing() // what the client sends waits for the backend
	back := new(back)
	f.dialing = t.Reactor().Dial(f.backend, reactor.One(back), nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			t.Abort()
			return
		}
		reactor.Join(t, back.T, nil) // if it fails, both are aborted
	})
}

func (f *front) DataReceived([]byte) {} // never: paused, and then joined

func (f *front) ConnectionLost(error) { f.dialing.StopConnecting() }

// back is the other side, until it is joined.
type back struct{ reactor.Base }

func (*back) DataReceived([]byte) {}

// asker sends requests on one connection. Each gets its answer, in order, or the reason why
// there is none.
type asker struct {
	receiver.Line
	waiting []func(answer string, err error)
	limit   reactor.DelayedCall
	lost    error
}

const answerTime = 5 * time.Second

func (a *asker) ConnectionMade(t reactor.Transport) {
	a.limit.Init(t.Reactor(), t.Abort)
	a.LineReceived = func(line []byte) {
		if len(a.waiting) == 0 {
			a.T.Abort() // an answer that nobody has asked for
			return
		}
		done := a.waiting[0]
		a.waiting = a.waiting[1:]
		if a.limit.Cancel(); len(a.waiting) > 0 {
			a.limit.Reset(answerTime)
		}
		done(string(line), nil)
	}
	a.Line.ConnectionMade(t)
}

// ask has done called with the answer, never before ask returns.
func (a *asker) ask(request string, done func(answer string, err error)) {
	if a.lost != nil {
		a.T.Reactor().Post(func() { done("", a.lost) })
		return
	}
	if len(a.waiting) == 0 {
		a.limit.Reset(answerTime)
	}
	a.waiting = append(a.waiting, done)
	a.SendLine([]byte(request)) // if it fails, ConnectionLost tells
}

func (a *asker) ConnectionLost(err error) {
	a.Line.ConnectionLost(err)
	a.limit.Cancel()
	a.lost = err
	for _, done := range a.waiting {
		done("", err)
	}
	a.waiting = nil
}

// heldBack does not read on while its client does not read the answers.
type heldBack struct{ receiver.Line }

func (h *heldBack) ConnectionMade(t reactor.Transport) {
	h.LineReceived = func(line []byte) { h.SendLine(line) }
	h.Line.ConnectionMade(t)
	h.T.RegisterProducer(h) // more than HighWater buffered pauses h, which stops reading
}

// askFrom asks from any goroutine but the loop's.
func askFrom(r *reactor.Reactor, a *asker) error {
	answer, err := reactor.AskLater(r, func(done func(string, error)) { a.ask("time", done) })
	fmt.Println("it is", answer, err)
	return err
}

// directory answers a name by an address, a datagram by a datagram.
type directory struct {
	t       reactor.PacketTransport
	entries map[string]string
}

func (d *directory) StartProtocol(t reactor.PacketTransport) { d.t = t }
func (d *directory) StopProtocol(error)                      {}

func (d *directory) DatagramReceived(p []byte, from kernel.Addr) {
	if address, ok := d.entries[string(p)]; ok {
		d.t.WriteTo([]byte(address), from)
	}
}

func serveDirectory(ctx context.Context, entries map[string]string, places ...string) error {
	c := whorl.Config{Datagrams: func() reactor.PacketProtocol { return &directory{entries: entries} }}
	return c.Serve(ctx, nil, places...)
}

// query asks a directory until it answers: datagrams may be lost, the answer too.
type query struct {
	name   string
	answer string // "" if none has come
	t      reactor.PacketTransport
	again  reactor.DelayedCall
	tries  int
}

func (q *query) StartProtocol(t reactor.PacketTransport) {
	q.t = t
	q.again.Init(t.Reactor(), q.ask)
	q.ask()
}

func (q *query) ask() {
	if q.tries++; q.tries > 5 {
		q.t.StopListening(nil)
		return
	}
	q.t.Write([]byte(q.name))
	q.again.Reset(200 * time.Millisecond)
}

func (q *query) DatagramReceived(p []byte, _ kernel.Addr) {
	q.answer = string(p)
	q.t.StopListening(nil)
}

func (q *query) StopProtocol(error) { q.again.Cancel() }
