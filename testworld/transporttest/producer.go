package transporttest

import (
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/reactor"
)

func producerPromises() []promise {
	return []promise{
		{"BackPressure", backPressure},
		{"ProducerAlone", producerAlone},
		{"ProducerUnasked", producerUnasked},
		{"CloseWaitsForProducer", closeWaitsForProducer},
		{"CloseThenProducer", closeThenProducer},
		{"CloseWriteWaitsForProducer", closeWriteWaitsForProducer},
		{"ProducerOfTheLost", producerOfTheLost},
		{"ProducerOfTheAborted", producerOfTheAborted},
		{"StopProducing", stopProducing},
		{"StopConsuming", stopConsuming},
		{"Relay", relay},
		{"OwnProducer", ownProducer},
	}
}

// producer writes pieces to its end, one each time the loop comes round, until it is
// paused; then it unregisters. With no pieces it only notes what it is asked.
type producer struct {
	e     *end
	piece int
	left  int // pieces

	paused, posted         bool
	pauses, resumes, stops int
	onPause, onResume      func()
	onStop, onEnd          func()
}

var _ reactor.Producer = (*producer)(nil)

// PauseProducing is reactor.Producer.
func (p *producer) PauseProducing() {
	g := p.e.g
	if p.paused {
		g.Errorf("PROD-5: the producer of %s is paused twice", p.e.name)
	}
	if in := p.e.calling; !g.link.Gathers && !strings.HasPrefix(in, "Write") && in != "RegisterProducer" {
		g.Errorf("PROD-4: the producer of %s is paused in %q, want Write", p.e.name, in)
	}
	p.paused = true
	p.pauses++
	call(p.onPause)
}

// ResumeProducing is reactor.Producer.
func (p *producer) ResumeProducing() {
	g := p.e.g
	if !p.paused {
		g.Errorf("PROD-4: the producer of %s is resumed, and was not paused", p.e.name)
	}
	if p.e.calling != "" {
		g.Errorf("X-2: the producer of %s is resumed inside %s", p.e.name, p.e.calling)
	}
	p.paused = false
	p.resumes++
	call(p.onResume)
	p.produce()
}

// StopProducing is reactor.Producer.
func (p *producer) StopProducing() {
	p.stops++
	call(p.onStop)
}

func (p *producer) produce() {
	if p.posted || p.paused || p.stops > 0 || p.left == 0 {
		return
	}
	p.posted = true
	p.e.t.Reactor().Post(func() {
		p.posted = false
		if p.paused || p.stops > 0 {
			return
		}
		p.left--
		p.e.write(p.piece)
		if p.left == 0 {
			p.e.unregister()
			call(p.onEnd)
		}
		p.produce()
	})
}

// start registers p, which must be taken, and lets it produce.
func (p *producer) start() {
	p.e.g.Helper()
	if err := p.e.register(p); err != nil {
		p.e.g.Errorf("registering a producer: %v", err)
	}
	p.produce()
}

// stalls waits until p stays paused, or has nothing left: what is on the way may have it go on for
// a while.
func (p *producer) stalls() {
	g := p.e.g
	g.Helper()
	for resumes := -1; resumes != p.resumes && p.left > 0; {
		g.until("a pause of the producer", func() bool { return p.paused || p.left == 0 })
		resumes = p.resumes
		g.moment()
	}
}

// backPressure: the producer is paused when much is unsent, inside the Write, once, and
// resumed when it was sent, in turn (PROD-4, PROD-5, DESC-14 to DESC-18).
func backPressure(g *rig) {
	g.connect()
	g.b.pause()
	p := &producer{e: g.a, piece: g.link.Much / 8, left: 16}
	p.start()
	if p.stalls(); p.pauses == 0 || p.left == 0 && !g.link.Deep {
		g.Error("PROD-4: a peer that reads nothing does not slow the producer down")
	}
	g.a.write(1) // PROD-5: above the mark, without another pause
	g.b.resume()
	g.until("the end of the producer", func() bool { return p.left == 0 })
	g.until("all that was produced", func() bool { return g.b.got == g.a.sent })
	if p.resumes == 0 || p.stops != 0 {
		g.Errorf("PROD-4: resumed %d times, stopped %d times", p.resumes, p.stops)
	}
}

// producerAlone: there is one producer at a time (PROD-1, DESC-10).
func producerAlone(g *rig) {
	g.connect()
	p, q := &producer{e: g.a}, &producer{e: g.a}
	p.start()
	for _, second := range []*producer{p, q} {
		if err := g.a.register(second); !errors.Is(err, reactor.ErrProducerRegistered) {
			g.Errorf("PROD-1: a second producer: %v", err)
		}
	}
	if q.stops != 0 || p.stops != 0 {
		g.Errorf("PROD-1: stopped %d and %d times", p.stops, q.stops)
	}
	g.a.unregister()
	q.start()
	g.a.unregister()
	g.a.unregister() // PROD-7: without a producer it does nothing
}

// producerUnasked: a producer is not resumed when it is registered, nor when it was not paused
// (PROD-4); pieces that are sent at once do not pause it.
func producerUnasked(g *rig) {
	g.connect()
	p := &producer{e: g.a}
	p.start()
	for range 3 {
		g.a.write(10)
		g.until("a piece", func() bool { return g.b.got == g.a.sent })
	}
	g.moment()
	if p.pauses+p.resumes+p.stops != 0 {
		g.Errorf("PROD-4: paused %d, resumed %d, stopped %d times", p.pauses, p.resumes, p.stops)
	}
	g.a.unregister()
}

// closeWaitsForProducer: Close waits until the producer has unregistered, and sends what it
// writes meanwhile (PROD-8, PROD-9, TCP-57, DESC-4, DESC-23, DESC-24).
func closeWaitsForProducer(g *rig) {
	g.connect()
	p := &producer{e: g.a}
	p.start()
	g.a.write(10)
	g.a.close()
	g.moment()
	if g.a.lost() || g.b.lost() {
		g.Errorf("PROD-8: lost for %v and %v with a producer registered", g.a.err, g.b.err)
		return
	}
	g.a.write(10)
	g.until("what the producer wrote", func() bool { return g.b.got == 20 })
	g.a.unregister()
	g.a.refuses("after Close and the producer (TCP-57)", reactor.ErrClosed)
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed)
	g.lostFor(g.b, io.EOF)
	if p.stops != 0 {
		g.Errorf("PROD-7: a producer that has unregistered was stopped %d times", p.stops)
	}
}

// closeThenProducer: registering while the transport is closing is allowed, and delays the
// close (DESC-11).
func closeThenProducer(g *rig) {
	g.connect()
	g.b.pause()
	g.a.write(g.link.Much)
	p := &producer{e: g.a, piece: 10, left: 3}
	g.a.close()
	p.start()
	g.b.resume()
	g.until("the end of the producer", func() bool { return p.left == 0 })
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed)
	if g.b.got != g.a.sent {
		g.Errorf("DESC-11: %d bytes came of %d", g.b.got, g.a.sent)
	}
}

// closeWriteWaitsForProducer: CloseWrite waits as Close does, also for one that writes nothing
// (TCP-58, TCP-69, TCP-76).
func closeWriteWaitsForProducer(g *rig) {
	g.connectHalf()
	p := &producer{e: g.a}
	p.start()
	g.a.closeWrite()
	g.moment()
	if g.a.saw("write lost") || g.b.saw("read lost") {
		g.Errorf("TCP-69: %q and %q with a producer registered", g.a.events, g.b.events)
		return
	}
	g.a.write(10)
	g.until("what the producer wrote", func() bool { return g.b.got == 10 })
	g.moment()
	g.a.unregister()
	g.a.refuses("after CloseWrite and the producer (TCP-58)", reactor.ErrWriteClosed)
	g.until("the end of one direction", func() bool { return g.a.saw("write lost") && g.b.saw("read lost") })
}

// stopsBeforeLoss notes the order of a producer's stop and the loss of e, and tries to write in
// the stop.
func stopsBeforeLoss(e *end) (p *producer, order *[]string) {
	order = new([]string)
	p = &producer{e: e}
	p.onStop = func() {
		*order = append(*order, "stopped")
		e.refuses("in StopProducing (DESC-21)", reactor.ErrClosed)
	}
	e.onLost = func() { *order = append(*order, "lost") }
	return p, order
}

// producerOfTheLost: a loss stops the producer, before ConnectionLost (PROD-6, DESC-21).
func producerOfTheLost(g *rig) {
	g.connect()
	p, order := stopsBeforeLoss(g.b)
	p.start()
	g.a.abort()
	g.bothLost()
	if want := []string{"stopped", "lost"}; !slices.Equal(*order, want) {
		g.Errorf("PROD-6: %q, want %q", *order, want)
	}
}

// producerOfTheAborted: so does Abort, later (TCP-80, DESC-29), also inside ResumeProducing.
func producerOfTheAborted(g *rig) {
	g.connect()
	g.b.pause()
	p, order := stopsBeforeLoss(g.a)
	p.piece, p.left = g.link.Much/4, 12
	p.onResume = func() {
		g.a.abort()
		if p.stops > 0 {
			g.Error("TCP-80: stopped inside Abort")
		}
	}
	p.start()
	g.until("a pause of the producer", func() bool { return p.pauses > 0 })
	g.b.resume()
	g.bothLost()
	g.lostFor(g.a, reactor.ErrAborted)
	if want := []string{"stopped", "lost"}; !slices.Equal(*order, want) {
		g.Errorf("TCP-80: %q, want %q", *order, want)
	}
}

// stopProducing: the read side's StopProducing is Close (PROD-11, DESC-32).
func stopProducing(g *rig) {
	g.connect()
	r := ability[reactor.Producer](g.a, "Producer")
	g.a.write(10)
	g.a.closed = true
	g.a.do("StopProducing", r.StopProducing)
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed)
	g.lostFor(g.b, io.EOF)
	if g.b.got != 10 {
		g.Errorf("PROD-11: %d bytes came of 10", g.b.got)
	}
}

// stopConsuming: it is UnregisterProducer and Close (PROD-10, DESC-20).
func stopConsuming(g *rig) {
	g.connect()
	p := &producer{e: g.a}
	p.start()
	g.a.write(10)
	c := ability[interface{ StopConsuming() }](g.a, "Connection with StopConsuming")
	g.a.closed = true
	g.a.do("StopConsuming", c.StopConsuming)
	g.a.refuses("after StopConsuming", reactor.ErrClosed)
	g.bothLost()
	g.lostFor(g.a, reactor.ErrClosed)
	g.lostFor(g.b, io.EOF)
	if g.b.got != 10 || p.stops != 0 {
		g.Errorf("PROD-10: %d bytes came of 10, the producer was stopped %d times", g.b.got, p.stops)
	}
}

// relay: if a transport is the producer of another, here of itself, a slow reader slows the
// writer down, through both directions (PROD-13).
func relay(g *rig) {
	g.connect()
	a, b := g.a, g.b
	b.onData = func(p []byte) {
		b.sent += len(p)
		b.do("Write", func() { b.t.Write(p) })
	}
	if err := b.register(ability[reactor.Producer](b, "Producer")); err != nil {
		g.Fatal(err)
	}
	a.pause()
	p := &producer{e: a, piece: g.link.Much / 4, left: 8}
	p.start()
	if p.stalls(); p.pauses == 0 || p.left == 0 && !g.link.Deep {
		g.Error("PROD-13: a reader that reads nothing does not slow the writer down")
	}
	a.resume()
	g.until("all that was relayed", func() bool { return p.left == 0 && a.got == a.sent })
	b.unregister()
}

// ownProducer: a transport that is its own producer delivers what came before the peer's reset,
// though it was paused, as by its write side when that is full, and though a write that failed
// stops the producer (PROD-11, TCP-67).
func ownProducer(g *rig) {
	g.connect()
	if g.link.NoReset {
		g.Skip("the peer of Abort cannot tell it from Close")
	}
	own := ability[reactor.Producer](g.b, "Producer")
	if err := g.b.register(own); err != nil {
		g.Fatal(err)
	}
	own.PauseProducing()
	g.a.write(10)
	g.until("the data's leaving", func() bool { return reactor.ConnectionOf(g.a.t).Buffered() == 0 })
	for range 2 { // what b sends acknowledges: until then the system may keep some of it, and Abort would drop that
		g.b.write(1)
		g.until("an answer", func() bool { return g.a.got == g.b.sent })
	}
	if g.b.got != 0 {
		g.Fatalf("TCP-64: %d bytes came though paused", g.b.got)
	}
	g.a.abort()
	g.until("the loss of b", func() bool {
		if !g.b.lost() {
			g.b.t.Write([]byte("x"))
		}
		return g.b.lost()
	})
	if g.b.got != 10 || g.b.err == reactor.ErrClosed {
		g.Errorf("PROD-11, TCP-67: %d bytes of 10 were delivered, lost with %v", g.b.got, g.b.err)
	}
}
