package kerneltest

import (
	"errors"

	"github.com/whorl-go/whorl/kernel"
)

func manyPromises() []promise {
	return []promise{{"Many", many}}
}

// manySocks is how many connections the suite tries to open, with both ends of each.
const manySocks = 10_000

// many opens as many connections as the kernel allows, up to manySocks, and checks that
// each is reported. The kernel tells its limit by ErrTooManyFiles.
func many(g *rig) {
	g.ev = make([]kernel.Event, 256)
	if r, ok := kernel.As[kernel.Reserver](g.k); ok {
		if err := r.Reserve(); err != nil {
			g.Fatal(err)
		}
	}
	l := g.listen(local4(), nil)
	a := l.Local()
	var dialled, accepted []kernel.Conn
	tooMany := false
	for len(accepted) < manySocks && !tooMany {
		for range 100 {
			c, err := g.k.Dial(a, nil)
			if tooMany = errors.Is(err, kernel.ErrTooManyFiles); tooMany {
				break
			}
			if err != nil {
				g.Fatalf("Dial %d: %v", len(dialled), err)
			}
			dialled = append(dialled, keep(g, c))
		}
		for len(accepted) < len(dialled) && !tooMany {
			s, err := l.Accept()
			switch {
			case err == nil:
				accepted = append(accepted, keep(g, s))
			case errors.Is(err, kernel.ErrTooManyFiles):
				tooMany = true
			case err == kernel.ErrAgain:
				g.becomes(l, kernel.Readable)
			default:
				g.Fatalf("Accept %d: %v", len(accepted), err)
			}
		}
	}
	if tooMany {
		g.atTheLimit(a, &dialled)
	}
	n := g.awaitAll(dialled, accepted)
	g.Logf("%d connections, both ends here; %d armed", len(accepted), n)
	if n < 100 {
		g.Errorf("%d connections are not many", n)
	}
}

// atTheLimit checks that Release makes room for one more descriptor (TCP-22, the kernel's
// part). Then it aborts some connections, so that the rest of the process has
// descriptors.
func (g *rig) atTheLimit(a kernel.Addr, dialled *[]kernel.Conn) {
	g.Helper()
	if r, ok := kernel.As[kernel.Reserver](g.k); ok && r.Release() {
		c, err := g.k.Dial(a, nil)
		if err != nil {
			g.Errorf("Dial after Release: %v", err)
		} else {
			c.Abort()
		}
	}
	// The last ones may not have been accepted.
	for range min(50, len(*dialled)) {
		last := len(*dialled) - 1
		(*dialled)[last].Abort()
		*dialled = (*dialled)[:last]
	}
}

// awaitAll arms the accepted end of each connection, writes a byte to each whose other end
// is still open, and waits until all of these have been reported. It returns how many
// they are.
func (g *rig) awaitAll(dialled, accepted []kernel.Conn) int {
	g.Helper()
	armed := []kernel.Conn{}
	for _, s := range accepted {
		tok := uint32(len(armed) + 1_000_000)
		err := g.k.Arm(s, tok, kernel.Readable)
		if err != nil {
			g.Fatalf("Arm %d: %v", tok, err)
		}
		g.token[s], g.armed[tok] = tok, kernel.Readable
		armed = append(armed, s)
	}
	peer := map[kernel.Addr]bool{}
	for _, c := range dialled {
		if c.Connected() == nil {
			g.send(c, []byte("x"))
			peer[c.Local()] = true
		}
	}
	want := 0
	for _, s := range armed {
		if peer[s.Remote()] {
			want++
		}
	}
	// Read none before all were reported. So no ready token may be left out for ever.
	seen := map[uint32]bool{}
	g.until("all of them", func(e kernel.Event) {
		if s := armed[e.Token-1_000_000]; peer[s.Remote()] {
			seen[e.Token] = true
		}
	}, func() bool { return len(seen) == want })
	buf := make([]byte, 8)
	for _, s := range armed {
		if peer[s.Remote()] {
			if n, err := s.Read(buf); n != 1 || err != nil {
				g.Fatalf("Read: %d, %v", n, err)
			}
		}
	}
	return want
}
