package transporttest

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
)

func writePromises() []promise {
	return []promise{
		{"Order", order},
		{"Addresses", addresses},
		{"WriteInMade", writeInMade},
		{"WriteNothing", writeNothing},
		{"WriteVec", writeVec},
		{"WriteCopies", writeCopies},
		{"WriteShared", writeShared},
		{"SendFile", sendFile},
		{"LentInput", lentInput},
		{"BothWays", bothWays},
	}
}

// order: made, data, lost, with all bytes between (PROTO-1, PROTO-2).
func order(g *rig) {
	g.connect()
	for _, n := range []int{1, 2, 3, 100, 20_000} {
		if g.link.Much < 20_000 {
			n = min(n, 100)
		}
		g.a.write(n)
		g.b.write(n)
		g.until("the data", func() bool { return g.a.got == g.b.sent && g.b.got == g.a.sent })
	}
	g.a.close()
	g.bothLost()
	for _, e := range []*end{g.a, g.b} {
		if want := []string{"made", "data", "lost"}; !slices.Equal(e.events, want) {
			g.Errorf("PROTO-1: %s saw %q, want %q", e.name, e.events, want)
		}
	}
}

// addresses: Local and Remote are those of the two ends, and Reactor is the loop's; end.afterLoss
// looks again after the loss.
func addresses(g *rig) {
	g.connect()
	if !g.link.NoAddresses {
		g.sameAddress("the local address of a", g.a.local, g.b.remote)
		g.sameAddress("the local address of b", g.b.local, g.a.remote)
	}
	for _, e := range []*end{g.a, g.b} {
		if e.t.Reactor() == nil {
			g.Fatalf("%s is on no reactor", e.name)
		}
	}
	g.a.close()
	g.bothLost()
}

// writeInMade: what ConnectionMade writes is sent, also if it calls Close then (TCP-61).
func writeInMade(g *rig) {
	g.a.onMade = func() {
		g.a.write(10)
		g.a.write(3)
		g.a.close()
	}
	g.start()
	g.bothLost()
	if g.b.got != 13 {
		g.Errorf("TCP-61: %d bytes came of 13 written in ConnectionMade", g.b.got)
	}
}

// writeNothing: a write of no bytes to a live connection does nothing (TCP-56).
func writeNothing(g *rig) {
	g.connect()
	for _, p := range [][]byte{nil, {}} {
		if n, err := g.a.t.Write(p); n != 0 || err != nil {
			g.Errorf("TCP-56: Write of nothing: %d, %v", n, err)
		}
	}
	if v, ok := reactor.As[reactor.Vectored](g.a.t); ok {
		for _, bufs := range [][][]byte{nil, {}, {nil, {}}} {
			if n, err := v.WriteVec(bufs); n != 0 || err != nil {
				g.Errorf("TCP-56: WriteVec of nothing: %d, %v", n, err)
			}
		}
	}
	if v, ok := reactor.As[reactor.SharedWriter](g.a.t); ok {
		if n, err := v.WriteShared(nil); n != 0 || err != nil {
			g.Errorf("TCP-56: WriteShared of nothing: %d, %v", n, err)
		}
	}
	g.moment()
	if g.b.saw("data") {
		g.Error("TCP-56: a write of nothing arrived")
	}
}

// writeVec is one write of the concatenation, in order with Write (DESC-5).
func writeVec(g *rig) {
	g.connect()
	a := g.a
	v := ability[reactor.Vectored](a, "Vectored")
	for _, sizes := range [][]int{{1}, {0, 3, 0, 5, 0}, {1, 1, 1, 1}, {g.link.Much / 64, 1, g.link.Much / 32}} {
		a.write(7)
		var bufs [][]byte
		total := 0
		for _, n := range sizes {
			bufs = append(bufs, g.data.at(a.sent, n))
			a.sent += n
			total += n
		}
		a.do("WriteVec", func() {
			if n, err := v.WriteVec(bufs); n != total || err != nil {
				g.Errorf("WriteVec of %d bytes: %d, %v", total, n, err)
			}
		})
		a.write(2)
	}
	g.until("all that was written", func() bool { return g.b.got == a.sent })
}

// writeCopies: the slice is the caller's again when Write returns (TCP-55); the bytes that
// wait are those that stood in it.
func writeCopies(g *rig) {
	g.connect()
	g.b.pause() // so that much of it waits
	a := g.a
	v, vectored := reactor.As[reactor.Vectored](a.t)
	p := make([]byte, max(g.link.Much/4, 1))
	for i := range 6 {
		n := len(p)
		if i%2 == 0 {
			n = min(n, 100)
		}
		copy(p, g.data.at(a.sent, n))
		before := bytes.Clone(p[:n])
		a.sent += n
		if vectored && i >= 3 {
			v.WriteVec([][]byte{p[:n/2], p[n/2 : n]})
		} else {
			a.t.Write(p[:n])
		}
		if !bytes.Equal(p[:n], before) {
			g.Error("TCP-55: Write changed what it was given")
		}
		for i := range p {
			p[i] = '#'
		}
	}
	g.b.resume()
	g.until("what was written", func() bool { return g.b.got == a.sent })
}

// writeShared: what is shared arrives as anything else, in order with it, and nothing is
// written to the slice or behind it (DESC-42). The peer does not read at first, so that much
// waits.
func writeShared(g *rig) {
	g.connect()
	a := g.a
	v := ability[reactor.SharedWriter](a, "SharedWriter")
	g.b.pause()
	from := a.sent
	p := bytes.Clone(g.data.at(from, max(g.link.Much/2, 1)))
	before := bytes.Clone(p)
	for i, most := range []int{len(p) / 3, 10, len(p) / 4, 100, 5000, 1, len(p) / 3} {
		n := min(most, len(p)-(a.sent-from)) // the rest of p is behind it
		a.do("WriteShared", func() {
			if m, err := v.WriteShared(p[a.sent-from:][:n]); m != n || err != nil {
				g.Errorf("WriteShared of %d bytes: %d, %v", n, m, err)
			}
		})
		if a.sent += n; i%3 != 2 && a.sent-from < len(p) {
			a.write(1)
		}
	}
	g.b.resume()
	g.until("all that was written", func() bool { return g.b.got == a.sent })
	if !bytes.Equal(p, before) {
		g.Error("DESC-42: a shared slice was written to")
	}
}

// sendFile: a file arrives behind what was written before, whole, with nobody to read it at first, and the transport passes on no byte of it
// unseen if it changes bytes (PROD-22).
func sendFile(g *rig) {
	g.connect()
	a := g.a
	size := max(g.link.Much/2, 1)
	name := filepath.Join(g.TempDir(), "file")
	a.write(7)
	if err := os.WriteFile(name, g.data.at(a.sent, size), 0o600); err != nil {
		g.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		g.Fatal(err)
	}
	defer f.Close()
	ended := false
	g.b.pause()
	a.do("SendFile", func() {
		_, err = flow.SendFile(a.t, f, &flow.FileOptions{MayWait: true, Piece: max(size/10, 1), Done: func(n int64, err error) {
			if ended = true; err != nil || n != int64(size) {
				g.Errorf("PROD-22: %d of %d bytes were sent: %v", n, size, err)
			}
		}})
	})
	if err != nil {
		g.Fatal(err)
	}
	a.sent += size
	g.b.resume()
	g.until("the file", func() bool { return ended && g.b.got == a.sent })
	a.write(3)
	g.until("what was written behind the file", func() bool { return g.b.got == a.sent })
}

// lentInput: what DataReceived was lent may be written from there, to be sent after it is
// no longer lent (TCP-55).
func lentInput(g *rig) {
	n := 0
	g.b.onData = func(p []byte) {
		n += len(p)
		g.b.sent += len(p)
		if _, err := g.b.t.Write(p); err != nil {
			g.Errorf("Write of what was lent: %v", err)
		}
	}
	g.connect()
	g.a.pause()
	for range 4 {
		g.a.write(g.link.Much / 4)
	}
	g.until("all at b", func() bool { return n == g.a.sent })
	g.a.resume()
	g.until("all back at a", func() bool { return g.a.got == g.a.sent })
}

// bothWays: much in both directions at a time arrives whole (DESC-5).
func bothWays(g *rig) {
	g.connect()
	g.a.write(g.link.Much)
	g.b.write(g.link.Much)
	g.until("all of both", func() bool { return g.a.got == g.b.sent && g.b.got == g.a.sent })
}
