package kerneltest

import (
	"errors"
	"io"
	"slices"

	"github.com/whorl-go/whorl/kernel"
)

// The promises of a kernel that passes descriptors. A kernel without Descriptors has none of them.

func passingPromises() []promise {
	all := []promise{
		{"Passing", passes},
		{"PassingBeforeBytes", passesBeforeBytes},
		{"PassingMany", passesMany},
		{"PassingUntaken", passesUntaken},
		{"PassingErrors", passingErrors},
		{"PassingAsked", passingAsked},
		{"DescriptorOf", descriptorOf},
	}
	for i, p := range all {
		all[i].test = func(g *rig) {
			if _, ok := kernel.As[kernel.Descriptors](g.k); !ok {
				g.Skip("this kernel has no descriptors")
			}
			p.test(g)
		}
	}
	return all
}

func passingOptions() kernel.StreamOptions { return kernel.StreamOptions{Descriptors: true} }

// passer is one end of a connection by which descriptors are passed.
type passer struct {
	kernel.Conn
	kernel.Passing
}

// Unwrap is the conn.
func (p passer) Unwrap() kernel.Conn { return p.Conn }

func (g *rig) passer(c kernel.Conn) passer {
	g.Helper()
	p, ok := kernel.ConnAs[kernel.Passing](c)
	if !ok {
		g.Fatalf("a %T that was opened with Descriptors is no Passing", c)
	}
	return passer{c, p}
}

// passers are both ends of such a connection.
func (g *rig) passers() (c, s passer) {
	g.Helper()
	l := g.listenOn(g.name(), &kernel.ListenOptions{StreamOptions: passingOptions()})
	x, y := g.connect(l, &kernel.DialOptions{StreamOptions: passingOptions()})
	return g.passer(x), g.passer(y)
}

// passOn sends text with fds in one message.
func (g *rig) passOn(s passer, text string, fds ...int) {
	g.Helper()
	for {
		n, err := s.WriteDescriptors([]byte(text), fds)
		if err == kernel.ErrAgain {
			g.becomes(s.Conn, kernel.Writable)
			continue
		}
		if err != nil || n < 1 {
			g.Fatalf("WriteDescriptors: %d, %v", n, err)
		}
		g.send(s.Conn, []byte(text[n:]))
		return
	}
}

// taken reads into p and returns how many bytes and which descriptors came.
func (g *rig) taken(s passer, p []byte) (int, []int) {
	g.Helper()
	n, err := g.read(s.Conn, p)
	if err != nil {
		g.Fatalf("Read: %v", err)
	}
	return n, slices.Clone(s.TakeDescriptors())
}

func (g *rig) descriptors() kernel.Descriptors {
	d, _ := kernel.As[kernel.Descriptors](g.k)
	return d
}

func (g *rig) closeNumbers(fds ...int) {
	g.Helper()
	for _, fd := range fds {
		if err := g.descriptors().CloseDescriptor(fd); err != nil {
			g.Errorf("CloseDescriptor(%d): %v", fd, err)
		}
	}
}

// numberOf is a number for the socket of h.
func (g *rig) numberOf(h kernel.Handle) int {
	g.Helper()
	fd, err := g.descriptors().DescriptorOf(h)
	if err != nil {
		g.Fatalf("DescriptorOf: %v", err)
	}
	return fd
}

// open tells whether fd is a number that is open.
func (g *rig) open(fd int) bool {
	g.Helper()
	own, err := g.descriptors().Duplicate(fd)
	if err == nil {
		g.closeNumbers(own)
		return true
	}
	if !errors.Is(err, kernel.ErrBadDescriptor) {
		g.Errorf("Duplicate of %d: %v", fd, err)
	}
	return false
}

// passes: a descriptor that is sent by either end arrives as another number, which is the same socket: it
// still listens when all that the sender has is closed (FDP-6).
func passes(g *rig) {
	c, s := g.passers()
	for _, ends := range [][2]passer{{c, s}, {s, c}} {
		l := g.listenOn(kernel.TCPAddr(local4(), 0), nil)
		fd := g.numberOf(l)
		g.passOn(ends[0], "x", fd)
		at := l.Local()
		l.Close()
		g.gone(l)
		n, got := g.taken(ends[1], make([]byte, 10))
		if n != 1 || len(got) != 1 || got[0] == fd {
			g.Fatalf("FDP-6: %d bytes with %v, sent %d", n, got, fd)
		}
		g.closeNumbers(fd)
		again := ends[1].TakeDescriptors()
		if again != nil {
			g.Errorf("taken twice: %v", again)
		}
		if a, ok := kernel.As[kernel.Adopter](g.k); ok {
			l, err := a.AdoptListener(got[0], nil)
			if err != nil {
				g.Fatalf("FDP-6: AdoptListener: %v", err)
			}
			keep(g, l)
			if l.Local() != at {
				g.Errorf("FDP-6: a socket at %v arrived as one at %v", at, l.Local())
			}
			g.talk(g.connect(l, nil))
		}
		g.closeNumbers(got...)
		if g.open(got[0]) {
			g.Errorf("%d is open after CloseDescriptor", got[0])
		}
	}
	if c.Dropped()+s.Dropped()+c.Skipped()+s.Skipped() != 0 {
		g.Error("something was dropped or skipped")
	}
}

// passesBeforeBytes: descriptors come with the first byte of their message or earlier, never with bytes
// from behind it, and those of two messages come one after the other (FDP-4, FDP-5).
func passesBeforeBytes(g *rig) {
	fd := g.numberOf(g.listen(local4(), nil))
	defer g.closeNumbers(fd)
	for _, size := range []int{1, 2, 3, 5, 100} {
		c, s := g.passers()
		g.send(c.Conn, []byte("AAAA"))
		g.passOn(c, "BBBB", fd)
		g.send(c.Conn, []byte("CCCC"))
		g.passOn(c, "DD", fd, fd)
		g.send(c.Conn, []byte("EEEE"))
		text, came := "", 0
		for len(text) < 18 {
			n, fds := g.taken(s, make([]byte, size))
			from, to := len(text), len(text)+n
			text += "AAAABBBBCCCCDDEEEE"[from:to]
			switch {
			case len(fds) == 1 && came == 0 && from <= 4 && to <= 8:
			case len(fds) == 2 && came == 1 && from >= 5 && from <= 12 && to <= 14:
			case len(fds) != 0:
				g.Errorf("FDP-4: reading %d: %d descriptors, after %d, with %s", size, len(fds), came, text[from:to])
			}
			if came += len(fds); came == 0 && to > 4 || came == 1 && to > 12 {
				g.Errorf("FDP-4: reading %d: %d descriptors have come with %s", size, came, text)
			}
			g.closeNumbers(fds...)
		}
		if came != 3 {
			g.Errorf("FDP-5: reading %d: %d descriptors of 3", size, came)
		}
	}
}

// passesMany: one message takes MaxDescriptors, and each arrives in its place (FDP-5).
func passesMany(g *rig) {
	c, s := g.passers()
	all := make([]int, kernel.MaxDescriptors)
	two := [2]int{g.numberOf(g.listen(local4(), nil)), g.numberOf(g.listen(local4(), nil))}
	for i := range all {
		all[i] = two[i%3%2]
	}
	g.passOn(c, "text", all...)
	n, got := g.taken(s, make([]byte, 10))
	if n < 1 || n > 4 || len(got) != len(all) {
		g.Fatalf("FDP-5: %d bytes with %d descriptors of %d", n, len(got), len(all))
	}
	if n < 4 { // a kernel may cut the stream anywhere
		g.receive(s, 4-n)
	}
	if a, ok := kernel.As[kernel.Adopter](g.k); ok {
		var at [2]kernel.Addr
		for i, fd := range got {
			l, err := a.AdoptListener(fd, nil)
			if err != nil {
				g.Fatalf("AdoptListener of number %d: %v", i, err)
			}
			which := i % 3 % 2
			if at[which].IsZero() {
				at[which] = l.Local()
			}
			if at[which] != l.Local() || at[0] == at[1] {
				g.Fatalf("FDP-5: descriptor %d is %v", i, l.Local())
			}
			l.Close()
		}
	}
	g.closeNumbers(got...)
	g.closeNumbers(two[:]...)
}

// passesUntaken: a descriptor that is under way keeps its socket. One that is not taken is closed by the next
// Read, by Close, and if nobody ever reads its message.
func passesUntaken(g *rig) {
	const read, closed, unread = "the next Read", "Close", "Close without a Read"
	for _, how := range []string{read, closed, unread} {
		c, s := g.passers()
		l := g.listenOn(kernel.TCPAddr(local4(), 0), nil)
		at, fd := l.Local(), g.numberOf(l)
		g.passOn(c, "x", fd)
		l.Close()
		g.gone(l)
		g.closeNumbers(fd)
		dial := func() error {
			d, err := g.k.Dial(at, nil)
			if err != nil {
				return err
			}
			keep(g, d)
			g.becomes(d, kernel.Writable)
			return d.Connected()
		}
		if err := dial(); err != nil {
			g.Errorf("FDP-6: under way, the socket does not listen: %v", err)
		}
		if how != unread {
			g.receive(s.Conn, 1)
		}
		if how == read {
			for err := error(nil); err != kernel.ErrAgain; {
				if _, err = s.Read(make([]byte, 1)); err == io.EOF {
					g.Fatal("the end")
				}
			}
		} else {
			s.Close()
			g.gone(s.Conn)
			c.Close()
			g.gone(c.Conn)
		}
		g.isOne("after "+how+", a dial", dial(), kernel.ErrRefused)
	}
}

// passingErrors: a number that is not open is refused, and nothing is sent. After Close everything is ErrClosed.
func passingErrors(g *rig) {
	c, s := g.passers()
	fd := g.numberOf(g.listen(local4(), nil))
	bad := g.numberOf(g.listen(local4(), nil))
	g.closeNumbers(bad)
	for _, fds := range [][]int{{bad}, {fd, bad}, {-1}, {beyond(fd)}} {
		_, err := c.WriteDescriptors([]byte("x"), fds)
		g.isSys("WriteDescriptors of what is not open", err, kernel.OpWrite, kernel.ErrBadDescriptor)
	}
	for _, err := range []error{g.descriptors().CloseDescriptor(bad), g.descriptors().CloseDescriptor(-1), g.descriptors().CloseDescriptor(beyond(fd))} {
		g.isOne("CloseDescriptor of what is not open", err, kernel.ErrBadDescriptor)
	}
	for _, no := range []int{-1, beyond(fd)} {
		if _, err := g.descriptors().Duplicate(no); !errors.Is(err, kernel.ErrBadDescriptor) {
			g.Errorf("Duplicate of %d: %v", no, err)
		}
	}
	g.fill(c.Conn)
	if _, err := c.WriteDescriptors([]byte("x"), []int{fd}); err != kernel.ErrAgain {
		g.Errorf("WriteDescriptors to a full socket: %v", err)
	}
	s.Close()
	g.gone(s.Conn)
	_, err := c.WriteDescriptors([]byte("x"), []int{fd})
	g.isSys("WriteDescriptors to a closed peer", err, kernel.OpWrite, kernel.ErrBroken)
	c.Close()
	g.gone(c.Conn)
	if _, err := c.WriteDescriptors([]byte("x"), []int{fd}); err != kernel.ErrClosed {
		g.Errorf("WriteDescriptors after Close: %v", err)
	}
	g.closeNumbers(fd)
}

// passingAsked: a conn is a Passing only if that was asked for, of its own end, and only a UNIX socket can be.
func passingAsked(g *rig) {
	for _, plain := range []kernel.Conn{first(g.connect(g.listenOn(g.name(), nil), nil)), first(g.pair())} {
		if _, ok := kernel.ConnAs[kernel.Passing](plain); ok {
			g.Errorf("a %T is a Passing, and nobody has asked for that", plain)
		}
	}
	at := kernel.TCPAddr(local4(), 0)
	_, err := g.k.Listen(at, &kernel.ListenOptions{StreamOptions: passingOptions()})
	g.isOption("Listen", err, "Descriptors")
	_, err = g.k.Dial(g.listenOn(at, nil).Local(), &kernel.DialOptions{StreamOptions: passingOptions()})
	g.isOption("Dial", err, "Descriptors")
}

func first[T any](v, _ T) T { return v }

// descriptorOf: the number of a handle is the caller's, and the same socket (ADOPT-4): with it the socket
// outlives the handle. A closed handle has none.
func descriptorOf(g *rig) {
	l := g.listenOn(kernel.TCPAddr(local4(), 0), nil)
	c, s := g.connect(l, nil)
	for _, h := range []kernel.Handle{l, c} {
		fd := g.numberOf(h)
		other, err := g.descriptors().Duplicate(fd)
		if err != nil || other == fd {
			g.Errorf("ADOPT-4: Duplicate of %d: %d, %v", fd, other, err)
		}
		g.closeNumbers(fd)
		if g.open(fd) || !g.open(other) {
			g.Errorf("ADOPT-4: %d is open, or its duplicate %d is not", fd, other)
		}
		g.closeNumbers(other)
	}
	g.talk(c, s)
	l.Close()
	g.gone(l)
	// A handle that is closed is closed, though its socket lives on.
	fd := g.numberOf(c)
	c.Close()
	g.gone(c)
	if _, err := c.Read(make([]byte, 1)); err != kernel.ErrClosed {
		g.Errorf("Read of a closed conn whose socket has a number: %v", err)
	}
	if _, err := c.Write([]byte("x")); err != kernel.ErrClosed {
		g.Errorf("Write to it: %v", err)
	}
	if err := c.Connected(); err != kernel.ErrClosed {
		g.Errorf("Connected of it: %v", err)
	}
	g.closeNumbers(fd)
	if _, err := g.descriptors().DescriptorOf(l); err != kernel.ErrClosed {
		g.Errorf("DescriptorOf a closed listener: %v", err)
	}
	if _, err := g.descriptors().DescriptorOf("no handle"); !errors.Is(err, kernel.ErrUnsupported) {
		g.Errorf("DescriptorOf something else: %v", err)
	}
}
