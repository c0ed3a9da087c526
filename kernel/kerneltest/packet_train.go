package kerneltest

import (
	"bytes"
	"slices"

	"github.com/whorl-go/whorl/kernel"
)

// trains is c's capability. A socket without it has nothing to test.
func (g *rig) trains(c kernel.PacketConn) kernel.Trains {
	g.Helper()
	t, ok := kernel.PacketAs[kernel.Trains](c)
	if !ok {
		g.Skip("no kernel.Trains")
	}
	return t
}

// letters are n bytes of which no two datagrams have the same.
func letters(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>15)
	}
	return b
}

// packetTrains: a train comes as the datagrams that it is of, whole or divided, whether they were sent as one or one by one, and in order with others.
// One that the system does not send at once is ErrTrain, and nothing of it comes (UDP-28).
func packetTrains(g *rig) {
	for _, ip := range g.families() {
		c, d := g.bind(kernel.UDPAddr(ip, 0), nil), g.bind(kernel.UDPAddr(ip, 0), nil)
		for _, connected := range []bool{false, true} {
			to := d.Local()
			if connected {
				if err := c.Connect(to); err != nil {
					g.Fatal(err)
				}
				to = kernel.Addr{}
			}
			for _, segment := range []int{1, 7, 1000} {
				for _, n := range []int{2, 3, 60, 100} {
					p := kernel.Packet{Data: letters(n*segment - segment/2), Peer: to, Segment: segment}
					g.passes(c, d, kernel.Packet{Data: []byte("before"), Peer: to}, p, kernel.Packet{Data: []byte("after"), Peer: to, Segment: 10})
				}
			}
		}
	}
}

// passes sends ps, and expects their datagrams, once by ReadTrains and once by ReadPackets.
func (g *rig) passes(c, d kernel.PacketConn, ps ...kernel.Packet) {
	g.Helper()
	for _, read := range []func() ([]kernel.Packet, error){g.trains(d).ReadTrains, d.ReadPackets} {
		var want, got []kernel.Packet
		for i := range ps {
			want = ps[i].AppendDatagrams(want)
		}
		g.putTrains(c, slices.Clone(ps))
		for len(got) < len(want) {
			all, err := read()
			switch {
			case err == kernel.ErrAgain:
				g.becomes(d, kernel.Readable)
				continue
			case err != nil:
				g.Fatal(err)
			}
			for _, p := range all {
				p.Data = slices.Clone(p.Data)
				got = p.AppendDatagrams(got)
			}
		}
		g.nothing(d)
		for i := range got {
			if i >= len(want) || !bytes.Equal(got[i].Data, want[i].Data) || got[i].Peer != c.Local() {
				g.Fatalf("UDP-28: of %d datagrams, number %d is %.20q from %v; %d were sent", len(got), i, got[i].Data, got[i].Peer, len(want))
			}
		}
	}
}

// putTrains sends all of p. A train that is refused is divided.
func (g *rig) putTrains(c kernel.PacketConn, p []kernel.Packet) {
	g.Helper()
	for len(p) > 0 {
		n, err := c.WritePackets(p)
		p = p[n:]
		switch {
		case err == nil:
		case err == kernel.ErrTrain && p[0].Train():
			g.put(c, p[0].AppendDatagrams(nil)...)
			p = p[1:]
		case err == kernel.ErrAgain:
			g.becomes(c, kernel.Writable)
		default:
			g.Fatalf("WritePackets: %v", err)
		}
	}
}
