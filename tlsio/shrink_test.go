package tlsio

import (
	"bytes"
	"crypto/tls"
	"testing"
	"time"
	"unsafe"

	"github.com/whorl-go/whorl/sim"
)

// A connection keeps its buffers while something comes at least once in ShrinkIdle. It gives them back
// when nothing has come for that time, as often as that happens.
func TestShrinkOnlyIdle(t *testing.T) {
	n := sim.New(1)
	defer n.Close()
	l := newLoop(n.Host("host").Reactor, Options{ShrinkIdle: time.Second})
	if l.shrink == nil {
		t.Fatal("this Go release has another tls.Conn")
	}
	var conns [2]*Conn
	for i := range conns {
		conns[i] = &Conn{l: l, tls: tls.Client(nil, &tls.Config{})}
	}
	buffer := func(c *Conn) *bytes.Buffer { return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c.tls), l.shrink.raw)) }
	use := func(c *Conn) {
		buffer(c).Grow(4096)
		l.used(c)
	}
	rest := func(d time.Duration) {
		t.Helper()
		if err := n.Run(d); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		busy, idle := conns[0], conns[1]
		use(idle)
		for i := range 6 { // after 0, 0.7, 1.4, 2.1, 2.8 and 3.5 s
			use(busy)
			use(busy)
			if listed := len(l.active); listed > 2 {
				t.Errorf("%d connections are looked at, and there are 2", listed)
			}
			rest(700 * time.Millisecond)
			if buffer(busy).Cap() == 0 {
				t.Errorf("the buffers of a connection that is in use were given back after %d uses", i+1)
			}
			if kept := buffer(idle).Cap() > 0; kept != (i < 2) {
				t.Errorf("the buffers of an idle connection after %v: kept %v", time.Duration(i+1)*700*time.Millisecond, kept)
			}
		}
		rest(2 * time.Second)
		if buffer(busy).Cap() > 0 || len(l.active) > 0 || l.sweeping.Active() {
			t.Errorf("all are idle, and %d are looked at, the first has %d bytes", len(l.active), buffer(busy).Cap())
		}
	}
}

// A connection that is lost is not looked at any more.
func TestShrinkForgetsLost(t *testing.T) {
	n := sim.New(1)
	defer n.Close()
	l := newLoop(n.Host("host").Reactor, Options{ShrinkIdle: time.Second})
	c := &Conn{l: l, tls: tls.Client(nil, &tls.Config{})}
	l.used(c)
	c.become(lost)
	if err := n.Run(1500 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if len(l.active) > 0 || l.sweeping.Active() {
		t.Error("it is still looked at")
	}
	if all := l.active[:cap(l.active)]; all[0] != nil {
		t.Error("it is still held")
	}
}
