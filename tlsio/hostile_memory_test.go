package tlsio_test

import (
	"crypto/tls"
	"testing"
)

// victims are protected connections, or some whose handshake has not begun, on one
// reactor, and what they take of memory. The peers are taken off.
type victims struct {
	t      *testing.T
	all    []*rig
	before int64
}

func newVictims(t *testing.T, shaken bool) *victims {
	t.Helper()
	if raced {
		t.Skip("the race detector has memory of its own")
	}
	first := hostileRig(t, tls.VersionTLS13, new(end), nil, false)
	first.pump()
	first.n.Options.SendBuffer, first.n.Options.RecvBuffer = 128, 128 // what the network itself takes is not what this is about
	v := &victims{t: t, before: heap()}
	for range 40 {
		g := first.another(new(end))
		if shaken {
			g.pump()
		}
		v.all = append(v.all, g)
	}
	return v
}

func (v *victims) each(do func(g *rig)) {
	for _, g := range v.all {
		do(g)
	}
}

// most asserts how much each takes at most.
func (v *victims) most(what string, most int64) {
	v.t.Helper()
	size := (heap() - v.before) / int64(len(v.all))
	v.t.Logf("%s: %d bytes for each connection", what, size)
	if size > most {
		v.t.Errorf("%s: %d bytes for each connection, want at most %d", what, size, most)
	}
}

// lost loses all, which must have failed. Their protocols go on to keep their Conn.
func (v *victims) lost() {
	v.t.Helper()
	v.each(func(g *rig) {
		g.lose()
		if err := g.top.(*end).err; !isTLS(err) {
			v.t.Errorf("lost for %v", err)
		}
		g.u = nil
	})
}

// forgotten has the protocols keep nothing.
func (v *victims) forgotten() {
	v.t.Helper()
	v.each(func(g *rig) { *g.top.(*end) = end{} })
	v.most("when all is over", 4<<10)
}

// alone takes the peer off.
func (g *rig) alone() {
	g.p.stop()
	*g.p = peer{}
}

// below is what the stream below and its simulated socket take.
const below = 3 << 10

// The memory that a hostile peer makes us keep in a handshake is bounded by the largest
// message. After the handshake it is nothing.
func TestHostileMemory(t *testing.T) {
	v := newVictims(t, false)
	more := append([]byte{22, 3, 1, 0x40, 0}, make([]byte, 16<<10)...)
	v.each(func(g *rig) {
		g.alone()
		g.deliver(append([]byte{22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff}, make([]byte, 16<<10-4)...))
		g.deliver(more)
		g.deliver(more)
		g.deliver(more[:len(more)-1])
	})
	v.most("most of a hello", 4*64<<10)
	v.each(func(g *rig) {
		g.deliver(more[len(more)-1:])
		for range 50 {
			g.deliver(more)
		}
	})
	v.most("behind the end", 6<<10+below)
	v.lost()
	v.most("lost, and the Conn kept", 6<<10+below)
	v.forgotten()
}

// On a protected connection that memory is bounded by the largest record or message.
func TestHostileMemoryProtected(t *testing.T) {
	record := append([]byte{23, 3, 3, 0x41, 0}, make([]byte, 16<<10+256)...)
	for what, c := range map[string]struct {
		send func(g *rig)
		most int64
	}{
		"most of a record": {func(g *rig) { g.deliver(record[:len(record)-1]) }, 4 * 16 << 10},
		"most of a message": {func(g *rig) {
			f := g.forger()
			g.deliver(f.seal(handshakeRecord, append([]byte{4, 1, 0, 0}, make([]byte, 16<<10-4)...)))
			for range 3 {
				g.deliver(f.seal(handshakeRecord, make([]byte, 16<<10)))
			}
		}, 4 * 64 << 10},
	} {
		t.Run(what, func(t *testing.T) {
			v := newVictims(t, true)
			v.each(func(g *rig) {
				c.send(g)
				g.alone()
			})
			v.most(what, c.most)
			v.each(func(g *rig) {
				for range 50 {
					g.deliver(record)
				}
			})
			v.most("behind the end", c.most)
			v.lost()
			v.forgotten()
		})
	}
}

// A connection that is lost keeps nothing of what was written to it or had come, though somebody
// keeps the Conn.
func TestLostMemory(t *testing.T) {
	v := newVictims(t, false)
	v.each(func(g *rig) {
		g.top.(*end).c.Write(make([]byte, 60_000))
		g.alone()
	})
	v.each(func(g *rig) {
		g.u.far.Abort()
		g.flow(g.top.(*end).lost)
		g.u = nil
	})
	v.most("lost in a handshake, and the Conn kept", 6<<10+below)
	v.forgotten()
}
