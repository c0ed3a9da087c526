package kerneltest

import (
	"fmt"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// shape is the size of datagram i of a batch, and to which of three receivers it goes.
type shape struct {
	name string
	size func(i int) int
	peer func(i int) int
}

// shapes are batches that a system can join and divide in different ways.
func shapes() []shape {
	one := func(int) int { return 0 }
	return []shape{
		{"equal", func(int) int { return 100 }, one},
		{"tiny", func(int) int { return 4 }, one},
		{"of full size", func(int) int { return 1300 }, one},
		{"huge", func(int) int { return 9000 }, one},
		{"a longer one at times", func(i int) int { return 100 + i%3/2 }, one},
		{"a shorter one at times", func(i int) int { return 100 - i%5/4 }, one},
		{"falling", func(i int) int { return 300 - i }, one},
		{"rising", func(i int) int { return 4 + i }, one},
		{"some empty", func(i int) int { return i % 5 * 40 }, one},
		{"by turns", func(int) int { return 50 }, func(i int) int { return i % 2 }},
		{"in runs", func(int) int { return 60 }, func(i int) int { return i / 7 % 3 }},
		{"mixed", func(i int) int { return 4 + i*i%7*20 }, func(i int) int { return i * i % 11 % 3 }},
	}
}

// packetBatches: datagrams that are sent together arrive one by one, unchanged and in their order, whatever their sizes and
// peers are. The caller may use the memory again at once.
func packetBatches(g *rig) {
	for _, ip := range g.families() {
		at := kernel.UDPAddr(ip, 0)
		c := g.bind(at, nil)
		to := [3]kernel.PacketConn{g.bind(at, nil), g.bind(at, nil), g.bind(at, nil)}
		for _, connected := range []bool{false, true} {
			if connected {
				if err := c.Connect(to[0].Local()); err != nil {
					g.Fatal(err)
				}
			}
			for _, s := range shapes() {
				if connected && s.peer(1)+s.peer(7) > 0 {
					continue
				}
				for _, n := range []int{1, 2, 17, 63, 64, 65, 200} {
					if n*s.size(0) < 160_000 {
						g.batch(c, to, s, n)
					}
				}
			}
		}
	}
}

// batch sends n datagrams of that shape at once, and checks what comes.
func (g *rig) batch(c kernel.PacketConn, to [3]kernel.PacketConn, s shape, n int) {
	g.Helper()
	var p []kernel.Packet
	var want [3][]string
	for i := range n {
		text := (fmt.Sprintf("%03d.", i) + strings.Repeat("x", s.size(i)))[:s.size(i)]
		peer := s.peer(i)
		q := kernel.Packet{Data: []byte(text)}
		if c.Remote().IsZero() {
			q.Peer = to[peer].Local()
		}
		p = append(p, q)
		want[peer] = append(want[peer], text)
	}
	g.put(c, p...)
	for i := range p {
		clear(p[i].Data)
		p[i].Peer = kernel.Addr{}
	}
	for peer, r := range to {
		for i, q := range g.take(r, len(want[peer])) {
			if string(q.Data) != want[peer][i] || q.Peer != c.Local() || q.Truncated {
				g.Fatalf("%d, %s: datagram %d to %d is %.20q, %d bytes from %v; want %.20q, %d bytes from %v", n, s.name, i, peer, q.Data, len(q.Data),
					q.Peer, want[peer][i], len(want[peer][i]), c.Local())
			}
		}
	}
}

// packetTooLongInBatch: what stands before a datagram that is too long is sent, and what stands behind it is not
// tried, but goes with the next call (UDP-21).
func packetTooLongInBatch(g *rig) {
	for _, ip := range g.families() {
		for _, before := range []int{0, 1, 30, 70} {
			c, d := g.bind(kernel.UDPAddr(ip, 0), nil), g.bind(kernel.UDPAddr(ip, 0), nil)
			var p []kernel.Packet
			for i := range before + 10 {
				p = append(p, to(d.Local(), fmt.Sprintf("%03d", i)))
			}
			p[before].Data = make([]byte, mostOf(ip)+1)
			for range 2 {
				n, err := c.WritePackets(p)
				for n < before && err == kernel.ErrAgain {
					g.becomes(c, kernel.Writable)
					var m int
					m, err = c.WritePackets(p[n:])
					n += m
				}
				if n != before {
					g.Fatalf("UDP-21: %d were sent before the one that is too long; want %d", n, before)
				}
				g.isSys("UDP-21: too long", err, kernel.OpWrite, kernel.ErrMessageSize)
				g.inOrder(d, 0, before)
				g.nothing(d)
			}
			g.put(c, p[before+1:]...)
			g.inOrder(d, before+1, before+10)
		}
	}
}

// inOrder reads datagrams that are numbered.
func (g *rig) inOrder(c kernel.PacketConn, from, to int) {
	g.Helper()
	for i, p := range g.take(c, to-from) {
		if string(p.Data) != fmt.Sprintf("%03d", from+i) {
			g.Fatalf("datagram %d is %.20q", from+i, p.Data)
		}
	}
}
