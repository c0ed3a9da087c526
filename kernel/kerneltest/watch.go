package kerneltest

import (
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/whorl-go/whorl/kernel"
)

func watchPromises() []promise {
	return []promise{
		{"WatchPipe", watchPipe},
		{"WatchPair", watchPair},
		{"WatchPairOneToken", watchPairOneToken},
		{"WatchPairFails", watchPairFails},
		{"WatchPairFailed", watchPairFailed},
		{"WatchCloseWrite", watchCloseWrite},
		{"WatchDeadPipe", watchDeadPipe},
		{"WatchFile", watchFile},
		{"WatchFileAndSocks", watchFileAndSocks},
		{"WatchClosed", watchClosed},
		{"WatchClosedLater", watchClosedLater},
		{"WatchNumberUsedAgain", watchNumberUsedAgain},
		{"WatchNumberGivenOut", watchNumberGivenOut},
		{"Reserve", reserve},
	}
}

// watch watches f for reading and writing.
func (g *rig) watch(f *os.File) kernel.Conn {
	g.Helper()
	return g.watchPair(f, f)
}

// watchPair watches in for reading and out for writing.
func (g *rig) watchPair(in, out *os.File) kernel.Conn {
	g.Helper()
	c, err := g.watcher().Watch(int(in.Fd()), int(out.Fd()))
	if err != nil {
		g.Fatalf("Watch: %v", err)
	}
	return keep(g, c)
}

func (g *rig) watcher() kernel.Watcher {
	g.Helper()
	w, ok := kernel.As[kernel.Watcher](g.k)
	if !ok {
		g.Skip("no kernel.Watcher")
	}
	return w
}

// pipe returns both ends of a pipe. They are closed when the test ends.
func (g *rig) pipe() (r, w *os.File) {
	g.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func watchPipe(g *rig) {
	r, w := g.pipe()
	in, out := g.watch(r), g.watch(w)
	g.quiet(in, kernel.Readable)
	g.becomes(out, kernel.Writable)
	if n, err := out.Write([]byte("hello")); n != 5 || err != nil {
		g.Fatalf("Write: %d, %v", n, err)
	}
	g.becomes(in, kernel.Readable)
	if got := g.receive(in, 5); string(got) != "hello" {
		g.Fatalf("read %q", got)
	}
	g.quiet(in, kernel.Readable)
	// Close forgets the descriptor and leaves it open. It can be watched again.
	for _, end := range []func(kernel.Conn) error{kernel.Conn.Close, kernel.Conn.Abort} {
		g.arm(out, kernel.Writable)
		if err := end(out); err != nil {
			g.Fatal(err)
		}
		g.gone(out)
		g.exactly(g.k.Now() + moment)
		if _, err := w.Write([]byte("x")); err != nil {
			g.Fatalf("the descriptor is not open any more: %v", err)
		}
		g.receive(in, 1)
		out = g.watch(w)
		g.becomes(out, kernel.Writable)
	}
	if err := in.Connected(); err != nil {
		g.Errorf("Connected: %v", err)
	}
	if !in.Local().IsZero() || !in.Remote().IsZero() {
		g.Errorf("a pipe with addresses: %v, %v", in.Local(), in.Remote())
	}
}

// betweenPipes returns a conn between two pipes, and the test's ends of them.
func (g *rig) betweenPipes() (c kernel.Conn, toConn, fromConn *os.File) {
	g.Helper()
	in, toConn := g.pipe()
	fromConn, out := g.pipe()
	return g.watchPair(in, out), toConn, fromConn
}

// watchPair: an input and an output descriptor make one conn.
func watchPair(g *rig) {
	c, toConn, fromConn := g.betweenPipes()
	g.quiet(c, kernel.Readable)
	g.becomes(c, kernel.Writable)
	if n, err := c.Write([]byte("out")); n != 3 || err != nil {
		g.Fatalf("Write: %d, %v", n, err)
	}
	p := make([]byte, 8)
	if n, err := fromConn.Read(p); string(p[:n]) != "out" || err != nil {
		g.Fatalf("read %q, %v", p[:n], err)
	}
	if _, err := toConn.Write([]byte("in")); err != nil {
		g.Fatal(err)
	}
	g.becomes(c, kernel.Readable|kernel.Writable)
	if got := g.receive(c, 2); string(got) != "in" {
		g.Fatalf("read %q", got)
	}
	toConn.Close()
	g.becomes(c, kernel.Readable)
	g.ends(c)
	g.becomes(c, kernel.Writable) // the end of the input is not that of the output
	fromConn.Close()
	g.becomes(c, kernel.Writable)
	n, err := c.Write([]byte("x"))
	g.isOne("Write to a dead pipe", err, kernel.ErrBroken)
	if n != 0 {
		g.Errorf("a write that failed has taken %d bytes", n)
	}
	g.arm(c, kernel.Readable|kernel.Writable)
	for range 2 {
		if err := c.Close(); err != nil {
			g.Fatal(err)
		}
	}
	g.gone(c)
	g.exactly(g.k.Now() + moment)
}

// watchPairOneToken: both descriptors are reported in one event, whatever else is ready
// and however short the slice is.
func watchPairOneToken(g *rig) {
	c, toConn, _ := g.betweenPipes()
	if _, err := toConn.Write([]byte("x")); err != nil {
		g.Fatal(err)
	}
	_, s := g.pair()
	other := g.arm(s, kernel.Writable)
	tok := g.arm(c, kernel.Readable|kernel.Writable)
	for _, room := range []int{1, 2, 3, 8} {
		g.ev = make([]kernel.Event, room)
		var got, others kernel.Ready
		g.until("both directions", func(e kernel.Event) {
			if e.Token == tok {
				got |= e.Ready
			} else if e.Token == other {
				others |= e.Ready
			}
		}, func() bool { return got == kernel.Readable|kernel.Writable && others == kernel.Writable })
	}
	if ev := g.wait(kernel.Forever); len(ev) != 2 {
		g.Errorf("reported %v", ev)
	}
	g.arm(c, kernel.Readable)
	g.arm(s, 0)
	if ev := g.wait(kernel.Forever); len(ev) != 1 || ev[0] != (kernel.Event{Token: tok, Ready: kernel.Readable}) {
		g.Errorf("armed r, reported %v", ev)
	}
	g.arm(c, 0)
	g.exactly(g.k.Now() + moment)
}

// beyond is a number that no descriptor can have, though its lower 32 bits are fd. It is -1 where numbers have no more bits.
func beyond(fd int) int {
	if strconv.IntSize == 32 {
		return -1
	}
	return fd | 1<<(strconv.IntSize/2)
}

// watchPairFails: if one descriptor is bad, neither is watched. What was armed before
// stays armed (FDS-28).
func watchPairFails(g *rig) {
	w := g.watcher()
	in, toConn := g.pipe()
	_, out := g.pipe()
	for _, fds := range [][2]int{{int(in.Fd()), -1}, {-1, int(out.Fd())}, {int(in.Fd()), beyond(int(out.Fd()))}} {
		_, err := w.Watch(fds[0], fds[1])
		g.isOne("Watch with a bad descriptor", err, kernel.ErrBadDescriptor)
	}
	c := g.watchPair(in, out)
	tok := g.arm(c, kernel.Readable)
	out.Close()
	if err := g.k.Arm(c, tok, kernel.Readable|kernel.Writable); err != nil {
		g.isOne("Arm with a closed output", err, kernel.ErrBadDescriptor)
	} else {
		g.arm(c, kernel.Readable|kernel.Writable)
		found := false
		g.until("the closed output", func(e kernel.Event) { found = found || e.Ready&kernel.Writable != 0 }, func() bool { return found })
		g.arm(c, kernel.Readable)
	}
	if _, err := toConn.Write([]byte("x")); err != nil {
		g.Fatal(err)
	}
	found := false
	g.until("the input", func(e kernel.Event) { found = found || e.Token == tok && e.Ready == kernel.Readable }, func() bool { return found })
	g.receive(c, 1)
}

// watchPairFailed: a pair is Failed when nobody can read its output any more, whatever else it is armed for, until it is
// disarmed. A file as the output does not fail.
func watchPairFailed(g *rig) {
	if g.cannotFail() {
		g.Skip("it never reports Failed")
	}
	c, toConn, fromConn := g.betweenPipes()
	for _, r := range []kernel.Ready{kernel.Failed, kernel.Readable | kernel.Failed} {
		g.arm(c, r)
		g.exactly(g.k.Now() + moment)
	}
	if err := c.Connected(); err != nil {
		g.Errorf("Connected before the failure: %v", err)
	}
	fromConn.Close()
	if _, err := toConn.Write([]byte("x")); err != nil {
		g.Fatal(err)
	}
	tok := g.arm(c, kernel.Readable|kernel.Failed)
	var got kernel.Ready
	g.until("both", func(e kernel.Event) {
		if e.Token == tok {
			got |= e.Ready
		}
	}, func() bool { return got == kernel.Readable|kernel.Failed })
	g.receive(c, 1)
	g.failed(g.arm(c, kernel.Failed))
	g.isOne("Connected", c.Connected(), kernel.ErrBroken)
	g.quiet(c, kernel.Readable)
	g.arm(c, 0)
	g.exactly(g.k.Now() + moment)
	in, _ := g.pipe()
	f := g.watchPair(in, g.file([]byte("content")))
	g.arm(f, kernel.Readable|kernel.Failed)
	g.exactly(g.k.Now() + moment)
	if err := f.Connected(); err != nil {
		g.Errorf("Connected of a file: %v", err)
	}
}

// watchCloseWrite: after CloseWrite nothing more can be written, and the descriptor stays
// open.
func watchCloseWrite(g *rig) {
	c, toConn, fromConn := g.betweenPipes()
	if err := c.CloseWrite(); err != nil {
		g.Fatal(err)
	}
	_, err := c.Write([]byte("x"))
	g.isOne("Write after CloseWrite", err, kernel.ErrBroken)
	if _, err := toConn.Write([]byte("in")); err != nil {
		g.Fatal(err)
	}
	if got := g.receive(c, 2); string(got) != "in" {
		g.Fatalf("read %q", got)
	}
	g.quiet(g.watch(fromConn), kernel.Readable) // the end would be readable
}

// watchDeadPipe: what came before the end is read first. A pipe without a reader is
// writable, and Write returns the error (FDS-24).
func watchDeadPipe(g *rig) {
	r, w := g.pipe()
	in := g.watch(r)
	if _, err := w.Write([]byte("end")); err != nil {
		g.Fatal(err)
	}
	w.Close()
	g.becomes(in, kernel.Readable)
	g.receive(in, 3)
	for range 2 {
		g.becomes(in, kernel.Readable)
		if n, err := in.Read(make([]byte, 9)); n != 0 || err != io.EOF {
			g.Fatalf("Read at the end: %d, %v", n, err)
		}
	}
	r, w = g.pipe()
	out := g.watch(w)
	r.Close()
	g.becomes(out, kernel.Writable)
	_, err := out.Write([]byte("x"))
	g.isOne("Write to a dead pipe (FDS-24)", err, kernel.ErrBroken)
}

// file returns a regular file with content, at its beginning.
func (g *rig) file(content []byte) *os.File {
	g.Helper()
	f, err := os.OpenFile(filepath.Join(g.TempDir(), "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		g.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		g.Fatal(err)
	}
	return f
}

// watchFile: a regular file is always ready for what is armed (FDS-31).
func watchFile(g *rig) {
	s := g.watch(g.file([]byte("content")))
	for _, r := range []kernel.Ready{kernel.Readable, kernel.Writable, kernel.Readable | kernel.Writable} {
		tok := g.arm(s, r)
		for range 3 { // FDS-32: every turn
			if ev := g.wait(kernel.Forever); len(ev) != 1 || ev[0] != (kernel.Event{Token: tok, Ready: r}) {
				g.Fatalf("armed %v, reported %v", r, ev)
			}
		}
	}
	if got := g.receive(s, 7); string(got) != "content" {
		g.Errorf("read %q", got)
	}
	if n, err := s.Read(make([]byte, 9)); n != 0 || err != io.EOF {
		g.Errorf("Read at the end: %d, %v", n, err)
	}
	g.arm(s, 0)
	g.exactly(g.k.Now() + moment) // FDS-32: nothing more once the last is disarmed
	g.becomes(s, kernel.Readable)
	g.arm(s, kernel.Readable)
	s.Close()
	g.gone(s)
	g.exactly(g.k.Now() + moment)
}

// watchFileAndSocks: files do not keep sockets from being reported, nor the reverse.
// FDS-32: every turn that has room reports all of them.
func watchFileAndSocks(g *rig) {
	for range 3 {
		g.arm(g.watch(g.file([]byte("content"))), kernel.Readable)
		_, s := g.pair()
		g.becomes(s, kernel.Writable)
		g.arm(s, kernel.Writable)
	}
	for _, room := range []int{1, 2, 3, 5, 6, 20} {
		g.ev = make([]kernel.Event, room)
		seen := map[uint32]bool{}
		for range 30 {
			for _, e := range g.wait(kernel.Forever) {
				seen[e.Token] = true
			}
		}
		if len(seen) != 6 {
			g.Errorf("with room for %d only %d of 6 were reported", room, len(seen))
		}
	}
	g.k.Wake()
	g.wait(kernel.Forever)
}

func watchClosed(g *rig) {
	w := g.watcher()
	r, _ := g.pipe()
	fd := int(r.Fd())
	r.Close()
	for _, fd := range []int{-1, -2, fd} {
		s, err := w.Watch(fd, fd)
		if err == nil {
			err = g.k.Arm(s, 1, kernel.Readable)
		}
		g.isOne("Watch or Arm of a closed descriptor", err, kernel.ErrBadDescriptor)
	}
}

// watchClosedLater: a descriptor that was closed behind our back does not affect the
// others (FDS-25, FDS-27). If it is reported, the next read returns the error.
func watchClosedLater(g *rig) {
	r, _ := g.pipe()
	bad := g.watch(r)
	c, good := g.pair()
	badTok, goodTok := g.arm(bad, kernel.Readable), g.arm(good, kernel.Readable)
	g.exactly(g.k.Now() + moment)
	r.Close()
	g.send(c, []byte("x"))
	found := false
	g.until("the good one", func(e kernel.Event) {
		if e.Token == badTok {
			_, err := bad.Read(make([]byte, 1))
			g.isOne("Read of a closed descriptor", err, kernel.ErrBadDescriptor)
		}
		found = found || e.Token == goodTok
	}, func() bool { return found })
	if err := bad.Close(); err != nil {
		g.Fatal(err)
	}
	g.gone(bad)
	g.receive(good, 1)
	g.exactly(g.k.Now() + moment)
}

// watchNumberUsedAgain: somebody closes a descriptor that is armed, and its number is
// used again. The new conn works (FDS-30). The old one is reported and does not affect
// the new.
func watchNumberUsedAgain(g *rig) {
	r, _ := g.pipe()
	w := g.watcher()
	fd := int(r.Fd())
	old := g.watch(r)
	oldTok := g.arm(old, kernel.Readable)
	r.Close()
	r2, w2 := g.pipe()
	if int(r2.Fd()) != fd {
		if int(w2.Fd()) != fd {
			g.Skipf("number %d was not given out again", fd)
		}
		// That end has the number, which serves the test as well.
		r2 = w2
	}
	if x, ok := kernel.ConnAs[kernel.Watched](old); !ok || x.Gone() || !x.Changed() {
		g.Error("a number that refers to another pipe has not changed, or the kernel got it")
	}
	s, err := w.Watch(fd, fd)
	if err != nil {
		g.Fatal(err)
	}
	keep(g, s)
	want := kernel.Writable
	if r2 != w2 {
		want = kernel.Readable
		if _, err := w2.Write([]byte("x")); err != nil {
			g.Fatal(err)
		}
	}
	tok := g.arm(s, want)
	foundOld, foundNew := false, false
	g.until("both", func(e kernel.Event) {
		foundOld = foundOld || e.Token == oldTok
		foundNew = foundNew || e.Token == tok
	}, func() bool { return foundOld && foundNew })
	_, err = old.Read(make([]byte, 1))
	g.isOne("Read of the old one", err, kernel.ErrBadDescriptor)
	old.Close()
	g.gone(old)
	g.becomes(s, want)
}

// reserve: Reserve holds one descriptor, only once (TCP-22, the kernel's part).
func reserve(g *rig) {
	r, ok := kernel.As[kernel.Reserver](g.k)
	if !ok {
		g.Skip("no kernel.Reserver")
	}
	if r.Release() {
		g.Error("Release before Reserve")
	}
	for range 3 {
		for range 2 {
			if err := r.Reserve(); err != nil {
				g.Fatal(err)
			}
		}
		if !r.Release() || r.Release() {
			g.Error("Release is not once")
		}
	}
	if err := r.Reserve(); err != nil { // the kernel closes it
		g.Fatal(err)
	}
}
