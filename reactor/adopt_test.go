//go:build linux

package reactor_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/testworld/transporttest"
	"golang.org/x/sys/unix"
)

// native is worlds for what only descriptors have.
func natives(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range wrap(testworld.Native()) {
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// foreign returns the descriptor of a socket of package net, which is blocking and the test's.
func foreign(t *testing.T, s interface{ File() (*os.File, error) }) int {
	t.Helper()
	f, err := s.File()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// foreignListener listens by package net, on network "tcp4", "tcp6" or "unix". l is closed, and so
// the descriptor alone has the socket.
func foreignListener(t *testing.T, network string) (fd int, at kernel.Addr) {
	t.Helper()
	where := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": socketName(t).Name}[network]
	l, err := net.Listen(network, where)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
		at = kernel.UNIXAddr(where)
	} else {
		at = kernel.Addr{Net: kernel.TCP, IP: netip.MustParseAddrPort(l.Addr().String())}
	}
	fd = foreign(t, l.(interface{ File() (*os.File, error) }))
	l.Close()
	return fd, at
}

// foreignPair is a connection made by package net: descriptors of the end that accepted and of the
// one that dialled, and the address of the latter.
func foreignPair(t *testing.T, network string) (accepted, dialled int, from kernel.Addr) {
	t.Helper()
	where := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0", "unix": socketName(t).Name}[network]
	l, err := net.Listen(network, where)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	from = kernel.UNIXAddr("")
	if network != "unix" {
		from = kernel.Addr{Net: kernel.TCP, IP: netip.MustParseAddrPort(c.LocalAddr().String())}
	}
	type file interface{ File() (*os.File, error) }
	return foreign(t, s.(file)), foreign(t, c.(file)), from
}

func isNonblock(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.O_NONBLOCK != 0
}

// An adopted port is a port: its address is the socket's, it accepts, and its factory is started and
// stopped with it (ADOPT-1, ADOPT-2, ADOPT-5, ADOPT-7, ADOPT-8). It works on a duplicate, which is
// non-blocking as the caller's descriptor is (ADOPT-4, ADOPT-14). At its end the socket can still
// accept through the caller's descriptor (ADOPT-6), and a UNIX socket's file is as it was (ADOPT-15).
func TestAdoptPort(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		for _, network := range []string{"tcp4", "tcp6", "unix"} {
			fd, at := foreignListener(t, network)
			if network == "unix" {
				os.Chmod(at.Name, 0o640)
			}
			if isNonblock(t, fd) {
				unix.SetNonblock(fd, false)
			}
			r := w.New(t, reactor.Config{})
			var srv end
			f := &lifeFactory{build: func(kernel.Addr) reactor.Protocol { srv = end{}; return &srv }}
			p, err := r.AdoptPort(fd, f, nil)
			if err != nil {
				t.Fatalf("ADOPT-1, ADOPT-2: %s: %v", network, err)
			}
			if p.Addr() != at || f.started != 1 || !isNonblock(t, fd) {
				t.Errorf("ADOPT-7, ADOPT-14: %s: address %v, want %v; started %d times; non-blocking %v", network, p.Addr(), at, f.started, isNonblock(t, fd))
			}
			second, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(second)
			unix.Close(fd) // ADOPT-4; the cleanup's close fails, or closes what the reactor does not have
			c := w.Peer(t, at, r)
			until(t, r, func() bool { return srv.s != nil })
			c.Send("hello")
			until(t, r, func() bool { return string(srv.got) == "hello" })
			if srv.s.Local() != at {
				t.Errorf("%s: accepted at %v", network, srv.s.Local())
			}
			stopped := false
			p.StopListening(func(error) { stopped = true })
			until(t, r, func() bool { return stopped })
			if f.stopped != 1 {
				t.Errorf("ADOPT-7: %s: stopped %d times", network, f.stopped)
			}
			if err := p.StartListening(); !errors.Is(err, reactor.ErrAdopted) || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("%s: listening again: %v", network, err)
			}
			w.Peer(t, at, r)
			got, _, err := unix.Accept(second)
			if err != nil {
				t.Errorf("ADOPT-6: %s: accepting by the caller's descriptor: %v", network, err)
			}
			unix.Close(got)
			if network == "unix" {
				if st, err := os.Stat(at.Name); err != nil || st.Mode().Perm() != 0o640 {
					t.Errorf("ADOPT-15: the file: %v, %v", st, err)
				}
			}
		}
	})
}

// A connection of either end is adopted: BuildProtocol gets the peer's address, ConnectionMade has
// been called, the connection counts as accepted, and the factory is neither started nor stopped
// (ADOPT-1, ADOPT-9, ADOPT-10, ADOPT-11, ADOPT-12). Its end is seen by whoever has the socket
// (ADOPT-13).
func TestAdoptConnection(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		for _, network := range []string{"tcp4", "tcp6", "unix"} {
			fd, other, from := foreignPair(t, network)
			r := w.New(t, reactor.Config{})
			var srv, cli end
			var built kernel.Addr
			f := &lifeFactory{build: func(a kernel.Addr) reactor.Protocol { built = a; return &srv }}
			s, err := r.AdoptConnection(fd, f, nil)
			if err != nil {
				t.Fatalf("ADOPT-1, ADOPT-2: %s: %v", network, err)
			}
			if srv.s != s || built != from || s.Remote() != from || !s.Accepted() || f.started+f.stopped != 0 {
				t.Errorf("ADOPT-9 to ADOPT-12: %s: made %v, built for %v, remote %v, want %v; accepted %v; started %d, stopped %d",
					network, srv.s == s, built, s.Remote(), from, s.Accepted(), f.started, f.stopped)
			}
			if v, err := s.NoDelay(); network != "unix" && (err != nil || !v) {
				t.Errorf("%s: TCP_NODELAY is %v, %v", network, v, err)
			}
			if _, err := r.AdoptConnection(other, one(&cli), nil); err != nil {
				t.Fatal(err)
			}
			cli.s.Write([]byte("hello"))
			until(t, r, func() bool { return string(srv.got) == "hello" })
			srv.s.Write([]byte("bye"))
			srv.s.Close()
			until(t, r, func() bool { return srv.err != nil && cli.err != nil })
			if string(cli.got) != "bye" || cli.err != io.EOF || srv.err != reactor.ErrClosed || f.started+f.stopped != 0 {
				t.Errorf("ADOPT-9, ADOPT-11: %s: got %q, lost with %v and %v", network, cli.got, cli.err, srv.err)
			}
			for _, held := range []int{fd, other} { // which still have the sockets
				if n, err := unix.Write(held, []byte("x")); err != unix.EPIPE {
					t.Errorf("ADOPT-13: %s: wrote %d bytes to what was closed, %v", network, n, err)
				}
			}
		}
	})
}

// An Abort resets the connection though somebody else has the socket too (ADOPT-13, TCP-68).
func TestAdoptedAbort(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		fd, other, _ := foreignPair(t, "tcp4")
		r := w.New(t, reactor.Config{})
		var srv, cli end
		if _, err := r.AdoptConnection(fd, one(&srv), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := r.AdoptConnection(other, one(&cli), nil); err != nil {
			t.Fatal(err)
		}
		srv.s.Abort()
		until(t, r, func() bool { return srv.err != nil && cli.err != nil })
		if srv.err != reactor.ErrAborted || !errors.Is(cli.err, kernel.ErrReset) {
			t.Errorf("ADOPT-13: lost with %v and %v", srv.err, cli.err)
		}
	})
}

// ADOPT-10: if the factory builds nothing, or panics, there is no transport, and no duplicate.
func TestAdoptConnectionRefused(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
		for what, f := range map[string]reactor.Factory{
			"nothing": reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil }),
			"panic":   reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { panic("planted") }),
		} {
			fd, other, _ := foreignPair(t, "tcp4")
			before := descriptors(t)
			s, err := r.AdoptConnection(fd, f, nil)
			var p *reactor.PanicError
			if s != nil || what == "nothing" && !errors.Is(err, reactor.ErrNoProtocol) || what == "panic" && !errors.As(err, &p) {
				t.Errorf("ADOPT-10: %s: %v, %v", what, s, err)
			}
			if after := descriptors(t); after != before {
				t.Errorf("ADOPT-10: %s: %d descriptors, before %d", what, after, before)
			}
			unix.Write(fd, []byte("x")) // the caller still has the socket
			unix.SetNonblock(other, false)
			if n, err := unix.Read(other, make([]byte, 1)); n != 1 || err != nil {
				t.Errorf("%s: the caller's descriptor: %d, %v", what, n, err)
			}
		}
	})
}

// descriptors counts those of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// What cannot be adopted is refused with a reason, before anything is changed, and no duplicate is
// left (ADOPT-2, ADOPT-3, ADOPT-5, ADOPT-16, ADOPT-17).
func TestAdoptRefused(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		socket := func(family, kind int) int {
			fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { unix.Close(fd) })
			return fd
		}
		file, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		listening, _ := foreignListener(t, "tcp4")
		accepted, _, _ := foreignPair(t, "tcp4")
		r := w.New(t, reactor.Config{})
		listen(t, r, one(new(end)), nil) // the first port opens a descriptor in reserve
		cases := map[string]struct {
			fd         int
			port, conn error // nil: it is adopted
		}{
			"ADOPT-3 negative":           {-1, kernel.ErrBadDescriptor, kernel.ErrBadDescriptor},
			"ADOPT-3 not open":           {1 << 20, kernel.ErrBadDescriptor, kernel.ErrBadDescriptor},
			"ADOPT-17 a file":            {int(file.Fd()), kernel.ErrUnsupported, kernel.ErrUnsupported},
			"ADOPT-17 a datagram":        {socket(unix.AF_INET, unix.SOCK_DGRAM), kernel.ErrUnsupported, kernel.ErrUnsupported},
			"ADOPT-17 a UNIX datagram":   {socket(unix.AF_UNIX, unix.SOCK_DGRAM), kernel.ErrUnsupported, kernel.ErrUnsupported},
			"ADOPT-17 a packet sequence": {socket(unix.AF_UNIX, unix.SOCK_SEQPACKET), kernel.ErrUnsupported, kernel.ErrUnsupported},
			"ADOPT-2 another family":     {socket(unix.AF_NETLINK, unix.SOCK_RAW), kernel.ErrUnsupported, kernel.ErrUnsupported},
			"ADOPT-5 neither":            {socket(unix.AF_INET, unix.SOCK_STREAM), kernel.ErrNotListening, kernel.ErrNotConnected},
			"ADOPT-5 listening":          {listening, nil, kernel.ErrNotConnected},
			"ADOPT-5 connected":          {accepted, kernel.ErrNotListening, nil},
		}
		before := descriptors(t)
		for what, c := range cases {
			f := &lifeFactory{build: func(kernel.Addr) reactor.Protocol { return new(end) }}
			blocking := c.fd >= 0 && c.fd < 1<<20 && !isNonblock(t, c.fd)
			var a *kernel.AdoptError
			if c.port != nil {
				_, err := r.AdoptPort(c.fd, f, nil)
				if !errors.Is(err, c.port) || !errors.Is(err, reactor.ErrListen) || !errors.As(err, &a) || a.FD != c.fd || f.started != 0 {
					t.Errorf("%s: as a port: %v", what, err)
				}
			}
			if c.conn != nil {
				_, err := r.AdoptConnection(c.fd, f, nil)
				if !errors.Is(err, c.conn) || !errors.As(err, &a) || a.Reason == "" {
					t.Errorf("%s: as a connection: %v", what, err)
				}
			}
			if blocking && isNonblock(t, c.fd) && c.port != nil && c.conn != nil {
				t.Errorf("ADOPT-16: %s: it was made non-blocking", what)
			}
		}
		for _, o := range []kernel.ListenOptions{{Backlog: 5}, {ReusePort: true}, {UNIX: kernel.UNIXOptions{Lock: true}}, {StreamOptions: kernel.StreamOptions{UserTimeout: -1}}} {
			if _, err := r.AdoptPort(listening, one(new(end)), &reactor.ListenConfig{ListenOptions: o}); !errors.Is(err, kernel.ErrInvalidOption) {
				t.Errorf("%+v: %v", o, err)
			}
		}
		failing := errors.New("of the test")
		bad := kernel.StreamOptions{Control: func(uintptr) error { return failing }}
		if _, err := r.AdoptPort(listening, one(new(end)), &reactor.ListenConfig{ListenOptions: kernel.ListenOptions{StreamOptions: bad}}); !errors.Is(err, failing) {
			t.Errorf("Control: %v", err)
		}
		if _, err := r.AdoptConnection(accepted, one(new(end)), &reactor.AdoptConfig{StreamOptions: bad}); !errors.Is(err, failing) {
			t.Errorf("Control: %v", err)
		}
		if after := descriptors(t); after != before {
			t.Errorf("ADOPT-16: %d descriptors, before %d", after, before)
		}
		r.Close()
		if _, err := r.AdoptConnection(accepted, one(new(end)), nil); !errors.Is(err, reactor.ErrStopped) {
			t.Errorf("stopped: %v", err)
		}
		if _, err := r.AdoptPort(listening, one(new(end)), nil); !errors.Is(err, reactor.ErrStopped) {
			t.Errorf("stopped: %v", err)
		}
	})
}

// On every kernel with descriptors, simulated ones too, a number that is not open is refused (ADOPT-3). A port and a
// connection are adopted by numbers that DescriptorOf gave (ADOPT-4). The port accepts beside the first one, and goes on when that
// has stopped (ADOPT-6). The connection ends for both who have it (ADOPT-13), and is still there for the first if the factory
// builds nothing (ADOPT-10).
func TestAdoptEverywhere(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for _, fd := range []int{-1, 1 << 20} {
			if _, err := r.AdoptPort(fd, one(new(end)), nil); !errors.Is(err, kernel.ErrBadDescriptor) {
				t.Errorf("ADOPT-3: a port: %v", err)
			}
			if _, err := r.AdoptConnection(fd, one(new(end)), nil); !errors.Is(err, kernel.ErrBadDescriptor) {
				t.Errorf("ADOPT-3: a connection: %v", err)
			}
		}
		for _, at := range []kernel.Addr{loopback, kernel.UNIXAddr("@" + socketName(t).Name)} {
			var made []*end
			f := &lifeFactory{build: func(kernel.Addr) reactor.Protocol { made = append(made, new(end)); return made[len(made)-1] }}
			first, err := r.Listen(at, f, nil)
			if err != nil {
				t.Fatal(err)
			}
			fd, err := r.DescriptorOf(first)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.AdoptConnection(fd, f, nil); !errors.Is(err, kernel.ErrNotConnected) {
				t.Errorf("ADOPT-5: a listener as a connection: %v", err)
			}
			second, err := r.AdoptPort(fd, f, nil)
			if err != nil {
				t.Fatal(err)
			}
			closeNumber(t, r, fd)
			if second.Addr() != first.Addr() {
				t.Errorf("ADOPT-7: adopted at %v, and it is %v", second.Addr(), first.Addr())
			}
			stopped := false
			first.StopListening(func(error) { stopped = true })
			until(t, r, func() bool { return stopped })
			var cli end
			r.Dial(first.Addr(), one(&cli), nil, func(_ reactor.Protocol, err error) {
				if err != nil {
					t.Errorf("ADOPT-6: %v", err)
				}
			})
			until(t, r, func() bool { return cli.s != nil && len(made) == 1 })
			srv := made[0]
			if fd, err = r.DescriptorOf(srv.s); err != nil {
				t.Fatal(err)
			}
			if _, err := r.AdoptPort(fd, f, nil); !errors.Is(err, kernel.ErrNotListening) {
				t.Errorf("ADOPT-5: a connection as a listener: %v", err)
			}
			if _, err := r.AdoptConnection(fd, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil }), nil); !errors.Is(err, reactor.ErrNoProtocol) {
				t.Errorf("ADOPT-10: %v", err)
			}
			cli.s.Write([]byte("first"))
			until(t, r, func() bool { return string(srv.got) == "first" })
			srv.s.PauseProducing()
			var other end
			if _, err := r.AdoptConnection(fd, one(&other), nil); err != nil {
				t.Fatal(err)
			}
			closeNumber(t, r, fd)
			cli.s.Write([]byte("second"))
			until(t, r, func() bool { return string(other.got) == "second" })
			other.s.Write([]byte("answer"))
			until(t, r, func() bool { return string(cli.got) == "answer" })
			other.s.Close()
			until(t, r, func() bool { return other.err != nil && cli.err != nil })
			if other.err != reactor.ErrClosed || cli.err != io.EOF {
				t.Errorf("ADOPT-13: lost with %v and %v", other.err, cli.err)
			}
			srv.s.ResumeProducing()
			until(t, r, func() bool { return srv.err != nil })
			second.StopListening(nil)
			testworld.Turns(t, r, 3)
		}
	})
}

// ADOPT-8, ADOPT-11: an adopted connection, and one of an adopted port, hold the contract of a
// transport.
func TestAdoptedContract(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		transporttest.Run(t, func(t *testing.T, c reactor.Config, a, b reactor.Protocol) transporttest.Link {
			k := (&testworld.Faults{MaxWrite: 4 << 10}).Wrap(w.Open(t))
			link := transporttest.Link{Moment: time.Millisecond, Much: 256 << 10, Deep: true}
			marks := reactor.StreamConfig{HighWater: 16 << 10}
			c.ReadBuffer = 32 << 10
			r := testworld.New(t, k, c)
			link.Until = func(done func() bool) { t.Helper(); testworld.Until(t, done, r) }
			fd, at := foreignListener(t, "tcp4")
			if _, err := r.AdoptPort(fd, one(b), &reactor.ListenConfig{StreamConfig: marks}); err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp4", at.String())
			if err != nil {
				t.Fatal(err)
			}
			own := foreign(t, conn.(*net.TCPConn))
			conn.Close()
			if _, err := r.AdoptConnection(own, one(a), &reactor.AdoptConfig{StreamConfig: marks}); err != nil {
				if _, panicked := errors.AsType[*reactor.PanicError](err); !panicked {
					t.Fatal(err)
				}
			}
			unix.Close(own)
			return link
		})
	})
}

// AdoptConnection leaves the connection to the caller if there is no factory to serve it.
func TestAdoptWithoutFactory(t *testing.T) {
	natives(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv, cli := &end{}, &end{}
		connect(t, r, srv, cli)
		fd, _, err := cli.s.Detach()
		if err != nil {
			t.Fatal(err)
		}
		defer r.CloseDescriptor(fd)
		if _, err := r.AdoptConnection(fd, nil, nil); err == nil || !strings.Contains(err.Error(), "there is no factory") {
			t.Errorf("AdoptConnection: %v", err)
		}
		again := &end{}
		if _, err := r.AdoptConnection(fd, one(again), nil); err != nil {
			t.Fatal(err)
		}
		again.s.Write([]byte("x"))
		until(t, r, func() bool { return len(srv.got) == 1 })
	})
}
