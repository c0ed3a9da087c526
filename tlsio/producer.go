package tlsio

import (
	"fmt"

	"github.com/whorl-go/whorl/reactor"
)

// RegisterProducer takes p as the producer, as reactor.Consumer says. It is paused at
// the high-water mark of the transport below, and resumed at its low-water mark. While
// the handshake goes on, it is paused when 64 KiB wait.
func (c *Conn) RegisterProducer(p reactor.Producer) error {
	if c.retired {
		return reactor.ErrSwitched
	}
	return c.register(p)
}

func (c *Conn) register(p reactor.Producer) error {
	if c.life >= finishing {
		p.StopProducing()
		return nil
	}
	if c.producer != nil {
		return fmt.Errorf("%w: %T is, %T wants to be", reactor.ErrProducerRegistered, c.producer, p)
	}
	c.adopt(p, false)
	return nil
}

// adopt takes p, which may have been paused by another transport. If the transport below can send no more, p is stopped instead (PROD-2).
func (c *Conn) adopt(p reactor.Producer, wasPaused bool) {
	if c.watch(); c.write == failed { // as watch may just have found
		p.StopProducing()
		return
	}
	c.producer = p
	switch held := c.producerHeld(); {
	case held && !wasPaused:
		p.PauseProducing()
	case !held && wasPaused:
		p.ResumeProducing()
	}
}

// UnregisterProducer forgets the producer, as reactor.Consumer says.
func (c *Conn) UnregisterProducer() {
	if c.retired {
		if k, ok := topAs[reactor.Consumer](c); ok {
			k.UnregisterProducer()
		}
		return
	}
	c.unregister()
}

func (c *Conn) unregister() {
	if c.producer != nil {
		c.producer = nil
		c.unwatch()
		c.settleLater()
	}
}

// Producing tells whether c may still deliver something: it is open, and the peer has not ended
// (PROD-11).
func (c *Conn) Producing() bool { return c.life <= open && c.reason == nil && c.read != ended }

func (c *Conn) stopProducer() {
	if p := c.producer; p != nil {
		c.producer = nil
		p.StopProducing()
	}
}

// watch registers a producer with the transport below, to hear when it is full
// (TLS-29). The transport below does not close before its producer is gone, so it is
// watched only while somebody must know.
func (c *Conn) watch() {
	if k, ok := reactor.As[reactor.Consumer](c.inner); ok && !c.watching {
		c.watching = true
		// There is no other one: it was taken off, or the transport is new.
		_ = k.RegisterProducer((*throttle)(c))
	}
}

// unwatch ends that, unless somebody must still know.
func (c *Conn) unwatch() {
	if !c.watching || c.life < finishing && (c.producer != nil || c.holds&holdAnswers != 0) {
		return
	}
	if k, ok := reactor.As[reactor.Consumer](c.inner); ok {
		c.watching = false
		c.holds &^= holdFull
		k.UnregisterProducer()
	}
}

// throttle is a Conn as the producer of the transport below (TLS-29).
type throttle Conn

// PauseProducing says that there is enough below to be sent. It is called again by the first write of a producer that was paused when it was
// registered, and passed on then: it goes on.
func (t *throttle) PauseProducing() {
	c := (*Conn)(t)
	again := c.holds&holdFull != 0
	c.hold(holdFull)
	if again && c.producer != nil && !c.pauseWaits() {
		c.producer.PauseProducing()
	}
}

// ResumeProducing says that it has been sent.
func (t *throttle) ResumeProducing() {
	c := (*Conn)(t)
	c.enter()
	c.release(holdFull)
	c.leave()
	if c.holds&holdAnswers != 0 {
		c.release(holdAnswers)
		c.unwatch()
	}
}

// Unfinished tells whether what the producer has written so far is only a part (PROD-24).
func (t *throttle) Unfinished() bool { return reactor.Unfinished(t.producer) }

// StopProducing says that the transport below can send no more. It is lost, or will be when
// what came before was read. What the producer writes in its own StopProducing is not taken any
// more (DESC-21).
func (t *throttle) StopProducing() {
	c := (*Conn)(t)
	if c.write != ended {
		c.write = failed
	}
	c.watching = false // it has forgotten us
	c.holds &^= holdFull
	c.stopProducer()
	c.release(holdAnswers)
	c.settleLater() // a Close may have waited for the producer
}
