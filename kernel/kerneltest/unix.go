package kerneltest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

func unixPromises() []promise {
	return []promise{
		{"UNIXAddresses", unixAddresses},
		{"UNIXNames", unixNames},
		{"UNIXAbstract", unixAbstract},
		{"UNIXInvalid", unixInvalid},
		{"UNIXLock", unixLock},
		{"UNIXQueueFull", unixQueueFull},
		{"UNIXClose", unixClose},
		{"UNIXOptions", unixOptions},
		{"UNIXCredentials", unixCredentials},
		{"UNIXReset", unixReset},
		{"UNIXSelf", unixSelf},
		{"UNIXKernelClosed", unixKernelClosed},
		{"UNIXSendBuffer", unixSendBuffer},
	}
}

// dir is a new directory. That of TempDir has the name of the test in its path, which may be too long for a socket.
func (g *rig) dir() string {
	dir, err := os.MkdirTemp("", "whorl")
	if err != nil {
		g.Fatal(err)
	}
	g.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// name is a path at which nothing is, short enough for every system.
func (g *rig) name() kernel.Addr {
	g.names++
	return kernel.UNIXAddr(filepath.Join(g.dir(), fmt.Sprint("s", g.names)))
}

// unixAddresses: a client that has bound no name has none, on either side. One that has bound a
// name is known by it, and the name is free again when it is closed (UNIX-14).
func unixAddresses(g *rig) {
	l := g.listen(local4(), nil) // of TCP, to see that both go on one kernel
	at := g.name()
	u := g.listenOn(at, nil)
	if u.Local() != at || l.Local().Net != kernel.TCP {
		g.Errorf("listening on %v: Local is %v", at, u.Local())
	}
	none := kernel.UNIXAddr("")
	c, s := g.connect(u, nil)
	if c.Local() != none || c.Remote() != at || s.Local() != at || s.Remote() != none {
		g.Errorf("UNIX-14: without a name: %v to %v, accepted %v from %v", c.Local(), c.Remote(), s.Local(), s.Remote())
	}
	mine := g.name()
	c, s = g.connect(u, &kernel.DialOptions{Bind: mine})
	if c.Local() != mine || c.Remote() != at || s.Local() != at || s.Remote() != mine {
		g.Errorf("UNIX-14: with a name: %v to %v, accepted %v from %v", c.Local(), c.Remote(), s.Local(), s.Remote())
	}
	if _, err := g.k.Dial(at, &kernel.DialOptions{Bind: mine}); !errors.Is(err, kernel.ErrAddrInUse) {
		g.Errorf("a second client of that name: %v", err)
	}
	_, err := g.k.Dial(mine, nil)
	g.isOne("dialling a client's name", err, kernel.ErrRefused)
	c.Close()
	if c.Local() != mine || c.Remote() != at {
		g.Errorf("closed: %v to %v", c.Local(), c.Remote())
	}
	g.connect(u, &kernel.DialOptions{Bind: mine})
}

// unixNames: a name has one listener. Where nobody listens a dial is refused, and where there is
// nothing, it does not exist (UNIX-3, UNIX-12). A closed listener leaves nothing (UNIX-6).
func unixNames(g *rig) {
	at := g.name()
	_, err := g.k.Dial(at, nil)
	g.isOne("UNIX-12: dialling what is not there", err, fs.ErrNotExist)
	l := g.listenOn(at, nil)
	_, err = g.k.Listen(at, nil)
	g.isOne("UNIX-3: a second listener", err, kernel.ErrAddrInUse)
	c, s := g.connect(l, nil)
	if err := l.Close(); err != nil {
		g.Fatal(err)
	}
	g.gone(l)
	g.talk(c, s) // connections live on
	_, err = g.k.Dial(at, nil)
	g.isOne("UNIX-6: dialling a closed listener", err, fs.ErrNotExist)
	if l.Local() != at {
		g.Errorf("closed: %v", l.Local())
	}
	g.talk(g.connect(g.listenOn(at, nil), nil))
}

// unixAbstract: a name that begins with '@' is no file, and is free when its listener is closed
// (UNIX-2).
func unixAbstract(g *rig) {
	at := kernel.UNIXAddr("@" + g.dir())
	l, err := g.k.Listen(at, nil)
	if errors.Is(err, kernel.ErrUnsupported) && runtime.GOOS != "linux" {
		return
	}
	if err != nil {
		g.Fatal(err)
	}
	keep(g, l)
	if _, err := os.Lstat(at.Name); err == nil {
		g.Errorf("UNIX-2: there is a file %s", at.Name)
	}
	_, err = g.k.Listen(kernel.Addr{Net: kernel.UNIX, Name: "\x00" + at.Name[1:]}, nil)
	g.isOne("UNIX-2: the same name with a zero byte", err, kernel.ErrAddrInUse)
	mine := kernel.UNIXAddr(at.Name + "-client")
	c, s := g.connect(l, &kernel.DialOptions{Bind: mine})
	if c.Remote() != at || s.Local() != at || s.Remote() != mine {
		g.Errorf("UNIX-2: %v to %v, accepted %v from %v", c.Local(), c.Remote(), s.Local(), s.Remote())
	}
	g.talk(c, s)
	l.Close()
	_, err = g.k.Dial(at, nil)
	g.isOne("UNIX-2: dialling a closed listener", err, kernel.ErrRefused)
	g.listenOn(at, nil)
}

// unixInvalid: what is no UNIX name is refused in the same way by Listen, by Dial and for Bind,
// before the system is asked. The longest name is taken.
func unixInvalid(g *rig) {
	to := g.listenOn(g.name(), nil).Local()
	for _, name := range []string{"", "@", "\x00", "a\x00b", strings.Repeat("x", kernel.MaxUNIXName+1), "@" + strings.Repeat("x", kernel.MaxUNIXName)} {
		a := kernel.Addr{Net: kernel.UNIX, Name: name}
		_, err := g.k.Listen(a, nil)
		g.isAddr("Listen", err, kernel.OpListen, a, kernel.ErrInvalidAddr)
		_, err = g.k.Dial(a, nil)
		g.isAddr("Dial", err, kernel.OpConnect, a, kernel.ErrInvalidAddr)
		_, err = g.k.Dial(to, &kernel.DialOptions{Bind: a})
		g.isAddr("Bind", err, kernel.OpBind, a, kernel.ErrInvalidAddr)
	}
	_, err := g.k.Dial(to, &kernel.DialOptions{Bind: kernel.TCPAddr(local4(), 0)})
	g.isOne("a UNIX socket bound to a TCP address", err, kernel.ErrInvalidAddr)
	if runtime.GOOS == "linux" {
		dir := g.dir() + "/"
		a := kernel.UNIXAddr(dir + strings.Repeat("x", kernel.MaxUNIXName-len(dir)))
		g.talk(g.connect(g.listenOn(a, nil), nil))
	}
}

// unixLock: with a lock file, a name is one listener's as long as its program lives, and a client
// can tell (UNIX-8, UNIX-9, UNIX-13).
func unixLock(g *rig) {
	at := g.name()
	locked := &kernel.ListenOptions{UNIX: kernel.UNIXOptions{Lock: true}}
	check := &kernel.DialOptions{CheckLock: true}
	_, err := g.k.Dial(at, check)
	g.isAddr("UNIX-13: Dial without a lock", err, kernel.OpConnect, at, kernel.ErrNotLocked)
	l := g.listenOn(at, locked)
	g.talk(g.connect(l, check))
	_, err = g.k.Listen(at, locked)
	g.isAddr("UNIX-9: Listen", err, kernel.OpListen, at, kernel.ErrLocked)
	g.isOne("UNIX-9: Listen", err, kernel.ErrAddrInUse)
	_, err = g.k.Listen(at, nil)
	g.isOne("UNIX-3: Listen without a lock", err, kernel.ErrAddrInUse)
	l.Close()
	_, err = g.k.Dial(at, check)
	g.isOne("UNIX-8: Dial when the listener is closed", err, kernel.ErrNotLocked)
	l = g.listenOn(at, nil)
	_, err = g.k.Dial(at, check)
	g.isOne("UNIX-13: Dial of a listener without a lock", err, kernel.ErrNotLocked)
	_, err = g.k.Listen(at, locked)
	g.isOne("UNIX-3: Listen with a lock, on a path in use", err, kernel.ErrAddrInUse)
	l.Close()
	g.connect(g.listenOn(at, locked), check) // the failed Listen has left no lock
}

// unixQueueFull: Dial is ErrAgain, bare, while the listener's queue is full, and succeeds when
// something was accepted.
func unixQueueFull(g *rig) {
	l := g.listenOn(g.name(), &kernel.ListenOptions{Backlog: 2})
	var err error
	waiting := 0
	for ; waiting < 100; waiting++ {
		c, e := g.k.Dial(l.Local(), nil)
		if err = e; err != nil {
			break
		}
		keep(g, c)
	}
	if runtime.GOOS != "linux" && errors.Is(err, kernel.ErrRefused) {
		return
	}
	if err != kernel.ErrAgain || waiting < 2 {
		g.Fatalf("after %d dials: %v", waiting, err)
	}
	if runtime.GOOS == "linux" && waiting != 3 {
		g.Errorf("%d wait; Linux lets one more wait than Backlog says", waiting)
	}
	g.accept(l)
	c, err := g.k.Dial(l.Local(), nil)
	if err != nil {
		g.Fatal(err)
	}
	keep(g, c)
	for range waiting {
		g.accept(l)
	}
}

// unixClose: what was sent is read, and then the end; or a reset, if the closed side had not read
// everything. Writing to a closed peer is ErrBroken. Abort is Close.
func unixClose(g *rig) {
	u := g.listenOn(g.name(), nil)
	for _, abort := range []bool{false, true} {
		for _, unread := range []bool{false, true} {
			c, s := g.connect(u, nil)
			g.send(s, []byte("last words"))
			if unread {
				g.send(c, []byte("x"))
			}
			if abort {
				s.Abort()
			} else {
				s.Close()
			}
			if got := g.receive(c, 10); string(got) != "last words" {
				g.Errorf("got %q", got)
			}
			if unread {
				_, err := g.read(c, make([]byte, 10))
				g.isOne("after unread input, Read", err, kernel.ErrReset)
			}
			g.ends(c)
			_, err := c.Write([]byte("x"))
			g.isSys("Write to a closed peer", err, kernel.OpWrite, kernel.ErrBroken)
		}
	}
	// A client that was not accepted hears of the end of the listener.
	c := keep(g, must(g.k.Dial(u.Local(), nil)))
	u.Close()
	_, err := g.read(c, make([]byte, 10))
	g.isOne("the listener is closed: Read", err, kernel.ErrReset)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// unixOptions: options that belong to the other network are refused, and so is what no file has.
// A UNIX conn is no TCPConn.
func unixOptions(g *rig) {
	at := g.name()
	for what, o := range map[string]kernel.ListenOptions{
		"KeepAlive":   {StreamOptions: kernel.StreamOptions{KeepAlive: true}},
		"UserTimeout": {StreamOptions: kernel.StreamOptions{UserTimeout: 1}},
		"RecvBuffer":  {StreamOptions: kernel.StreamOptions{RecvBuffer: 8192}},
		"ReusePort":   {ReusePort: true},
		"Mode":        {UNIX: kernel.UNIXOptions{Mode: 0o1600}},
	} {
		_, err := g.k.Listen(at, &o)
		g.isOption("Listen", err, what)
		_, err = g.k.Dial(at, &kernel.DialOptions{StreamOptions: o.StreamOptions})
		if o.StreamOptions.KeepAlive || o.StreamOptions.UserTimeout+time.Duration(o.StreamOptions.RecvBuffer) > 0 {
			g.isOption("Dial", err, what)
		}
	}
	_, err := g.k.Dial(at, &kernel.DialOptions{ReuseAddr: true})
	g.isOption("Dial", err, "ReuseAddr")
	_, err = g.k.Dial(kernel.UNIXAddr("@x"), &kernel.DialOptions{CheckLock: true})
	g.isOption("Dial", err, "CheckLock")
	_, err = g.k.Dial(kernel.TCPAddr(local4(), 1), &kernel.DialOptions{CheckLock: true})
	g.isOption("Dial", err, "CheckLock")
	_, err = g.k.Listen(kernel.UNIXAddr("@x"), &kernel.ListenOptions{UNIX: kernel.UNIXOptions{Lock: true}})
	g.isOption("Listen", err, "UNIX")
	_, err = g.k.Listen(kernel.TCPAddr(local4(), 0), &kernel.ListenOptions{UNIX: kernel.UNIXOptions{Mode: 0o600}})
	g.isOption("Listen", err, "UNIX")
	c, s := g.connect(g.listenOn(at, &kernel.ListenOptions{StreamOptions: kernel.StreamOptions{Nagle: true, SendBuffer: 8192}}),
		&kernel.DialOptions{StreamOptions: kernel.StreamOptions{SendBuffer: 8192}})
	for _, x := range []kernel.Conn{c, s} {
		if n := g.fill(x); n > 64<<10 {
			g.Errorf("with a SendBuffer of 8192 a conn takes %d bytes", n)
		}
		if _, ok := kernel.ConnAs[kernel.TCPConn](x); ok {
			g.Errorf("a UNIX conn is a TCPConn")
		}
	}
}

// isOption fails unless err is an OptionError about that option.
func (g *rig) isOption(what string, err error, option string) {
	g.Helper()
	e, ok := errors.AsType[*kernel.OptionError](err)
	if !ok || e.Option != option || !errors.Is(err, kernel.ErrInvalidOption) {
		g.Errorf("%s: %v; want an error about %s", what, err, option)
	}
}

// unixCredentials: both ends know the other process, which is the same one here.
func unixCredentials(g *rig) {
	c, s := g.connect(g.listenOn(g.name(), nil), nil)
	var both [2]kernel.Credentials
	for i, x := range []kernel.Conn{c, s} {
		u, ok := kernel.ConnAs[kernel.UNIXConn](x)
		if !ok {
			g.Fatalf("a UNIX conn is no UNIXConn")
		}
		var err error
		if both[i], err = u.Credentials(); errors.Is(err, kernel.ErrUnsupported) {
			return
		} else if err != nil {
			g.Fatal(err)
		}
		x.Close()
		if _, err := u.Credentials(); err != kernel.ErrClosed {
			g.Errorf("closed: %v", err)
		}
	}
	if both[0] != both[1] || both[0].PID == 0 {
		g.Errorf("%+v and %+v", both[0], both[1])
	}
	if _, ok := kernel.ConnAs[kernel.UNIXConn](g.dial(g.listen(local4(), nil), nil)); ok {
		g.Error("a TCP conn is a UNIXConn")
	}
}

// unixReset: a close with unread input is a reset for the peer, which it reads behind everything that
// was sent, an end included, and behind an end that it has read. Nothing else takes the reset: a write
// is ErrBroken, and CloseWrite succeeds.
func unixReset(g *rig) {
	if runtime.GOOS != "linux" {
		return // other systems have rules of their own
	}
	u := g.listenOn(g.name(), nil)
	for _, ended := range []bool{false, true} {
		for _, read := range []bool{false, true} {
			c, s := g.connect(u, nil)
			g.send(c, []byte("unread"))
			g.send(s, []byte("last words"))
			if ended {
				if err := s.CloseWrite(); err != nil {
					g.Fatal(err)
				}
			}
			if read {
				g.receive(c, 10)
				if ended {
					g.ends(c)
				}
			}
			s.Close()
			for range 2 {
				_, err := c.Write([]byte("x"))
				g.isSys("Write after a reset", err, kernel.OpWrite, kernel.ErrBroken)
				if err := c.CloseWrite(); err != nil {
					g.Fatalf("CloseWrite after a reset: %v", err)
				}
			}
			if !read {
				g.receive(c, 10)
			}
			_, err := g.read(c, make([]byte, 10))
			g.isSys("Read of a reset", err, kernel.OpRead, kernel.ErrReset)
			g.ends(c)
			if err := c.CloseWrite(); err != nil {
				g.Fatalf("CloseWrite after a reset that was read: %v", err)
			}
		}
	}
}

// unixSelf: a dial of the name that it binds is refused, because that socket does not listen, and
// leaves nothing.
func unixSelf(g *rig) {
	names := []kernel.Addr{g.name()}
	if runtime.GOOS == "linux" {
		names = append(names, kernel.UNIXAddr("@"+names[0].Name))
	}
	for _, at := range names {
		_, err := g.k.Dial(at, &kernel.DialOptions{Bind: at})
		g.isOne("dialling oneself", err, kernel.ErrRefused)
		g.talk(g.connect(g.listenOn(at, nil), nil))
	}
}

// unixKernelClosed: when the kernel is closed, Listen and Dial are ErrClosed, bare, whatever is at
// the name.
func unixKernelClosed(g *rig) {
	at, none, tcp := g.name(), g.name(), g.listen(local4(), nil)
	g.listenOn(at, nil)
	if err := g.k.Close(); err != nil {
		g.Fatal(err)
	}
	locked := &kernel.ListenOptions{UNIX: kernel.UNIXOptions{Lock: true}}
	for what, open := range map[string]func() error{
		"Listen":                func() error { _, err := g.k.Listen(none, nil); return err },
		"Listen, in use":        func() error { _, err := g.k.Listen(at, nil); return err },
		"Listen with a lock":    func() error { _, err := g.k.Listen(at, locked); return err },
		"Listen, TCP, in use":   func() error { _, err := g.k.Listen(tcp.Local(), nil); return err },
		"Dial":                  func() error { _, err := g.k.Dial(at, nil); return err },
		"Dial of nothing":       func() error { _, err := g.k.Dial(none, nil); return err },
		"Dial, CheckLock":       func() error { _, err := g.k.Dial(at, &kernel.DialOptions{CheckLock: true}); return err },
		"Dial, Bind in use":     func() error { _, err := g.k.Dial(at, &kernel.DialOptions{Bind: at}); return err },
		"Dial, TCP":             func() error { _, err := g.k.Dial(tcp.Local(), nil); return err },
		"Dial, TCP, Bind to it": func() error { _, err := g.k.Dial(tcp.Local(), &kernel.DialOptions{Bind: tcp.Local()}); return err },
	} {
		if err := open(); err != kernel.ErrClosed {
			g.Errorf("%s: %v", what, err)
		}
	}
}

// unixSendBuffer: what waits to be read is in the writer's send buffer, and a small one holds little,
// whatever the reader has.
func unixSendBuffer(g *rig) {
	if runtime.GOOS != "linux" {
		return // other systems have rules of their own
	}
	const size = 8192
	small, s := g.connect(g.listenOn(g.name(), nil), &kernel.DialOptions{StreamOptions: kernel.StreamOptions{SendBuffer: size}})
	n := g.fill(small)
	if n > 4*size {
		g.Errorf("%d bytes wait with a SendBuffer of %d", n, size)
	}
	g.quiet(small, kernel.Writable)
	g.receive(s, n)
	g.becomes(small, kernel.Writable)
}
