//go:build linux

package std_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/testworld/double"
	"golang.org/x/sys/unix"
)

// inherited returns a descriptor of the socket of l or c, which is closed.
func inherited(t *testing.T, s interface {
	File() (*os.File, error)
	Close() error
}) int {
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
	s.Close()
	return fd
}

func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// A server on a descriptor serves, the original is closed, and it works once. A client on the
// descriptor of a connection has it (EP-17).
func TestFD(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			at := l.Addr().String()
			fd := inherited(t, l.(*net.TCPListener))
			place := server(t, fmt.Sprintf("fd:%d:maxconnections=3", fd))
			var served, mine site
			port, err := place.Listen(r, &served)
			if err != nil || port.Addr().String() != at || isOpen(fd) {
				t.Fatalf("EP-17: %v, listening on %v; the original is open: %v", err, port, isOpen(fd))
			}
			if _, err := place.Listen(r, &served); !errors.Is(err, std.ErrUsed) || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("EP-17: a second time: %v", err)
			}
			c, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			own := inherited(t, c.(*net.TCPConn))
			there := client(t, fmt.Sprintf("fd:%d", own))
			var got result
			there.Connect(r, &mine, got.done)
			if got.calls != 0 {
				t.Error("EP-1: done was called inside Connect")
			}
			until(t, r, func() bool { return got.calls > 0 && len(served.built) == 1 })
			if got.err != nil || got.p != reactor.Protocol(mine.built[0]) || isOpen(own) {
				t.Fatalf("EP-2: %v, %v; the original is open: %v", got.p, got.err, isOpen(own))
			}
			mine.built[0].T.Write([]byte("hello"))
			mine.built[0].T.Close()
			until(t, r, func() bool { return served.built[0].lost != nil })
			if served.built[0].got != "hello" || served.built[0].lost != io.EOF {
				t.Errorf("got %q, lost with %v", served.built[0].got, served.built[0].lost)
			}
			var again result
			there.Connect(r, &mine, again.done)
			until(t, r, func() bool { return again.calls > 0 })
			if !errors.Is(again.err, std.ErrUsed) || !errors.Is(again.err, reactor.ErrConnect) {
				t.Errorf("a second time: %v", again.err)
			}
		})
	}
}

// If the adoption fails, the original stays open, and the place is used up (EP-17). A Connect can be
// cancelled, also inside ConnectionMade (EP-6).
func TestFDFails(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			place := server(t, "fd:"+strconv.Itoa(fd))
			for i, want := range []error{kernel.ErrNotListening, std.ErrUsed} {
				if _, err := place.Listen(r, new(site)); !errors.Is(err, want) || !errors.Is(err, reactor.ErrListen) || !isOpen(fd) {
					t.Errorf("EP-17: the %dth time: %v", i+1, err)
				}
			}
			for _, inside := range []bool{false, true} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				c, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				own := inherited(t, c.(*net.TCPConn))
				var cancel func()
				var got result
				p := new(proto)
				cancel = client(t, fmt.Sprintf("fd:%d", own)).Connect(r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
					cancel()
					return p
				}), got.done)
				if !inside {
					cancel()
				}
				until(t, r, func() bool { return got.calls > 0 })
				if !errors.Is(got.err, reactor.ErrCancelled) || (p.made > 0) != inside || isOpen(own) == inside {
					t.Errorf("EP-6: inside %v: %v, made %d times", inside, got.err, p.made)
				}
				if inside {
					until(t, r, func() bool { return p.lost != nil })
				} else {
					unix.Close(own)
				}
				l.Close()
			}
		})
	}
	for _, text := range []string{"fd:-1", "fd:x", "fd:"} {
		if _, err := std.Schemes(nil).Server(text); !isArgument(err, "number") {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := std.Schemes(nil).Client(text); !isArgument(err, "number") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func isArgument(err error, name string) bool {
	e, ok := errors.AsType[*endpoint.ArgumentError](err)
	return ok && e.Argument == name
}

// EP-17, EP-30: a socket that a service manager has passed works once, whichever place names it. Later its number may belong to another file, which stays as it is.
func TestSystemdTwice(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			fd, packets := inherited(t, l.(*net.TCPListener)), inherited(t, datagrams.(*net.UDPConn))
			t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
			t.Setenv("LISTEN_FDS", strconv.Itoa(max(fd, packets)-activation.First+1))
			o := &std.Options{Activation: activation.Take()}
			parse := func() (endpoint.Server, error) {
				return std.Schemes(o).Server(fmt.Sprintf("systemd:index=%d", fd-activation.First))
			}
			parsePackets := func() (endpoint.PacketServer, error) {
				return std.Schemes(o).PacketServer(fmt.Sprintf("systemd:index=%d", packets-activation.First))
			}
			first, _ := parse()
			second, err := parse()
			firstPackets, _ := parsePackets()
			secondPackets, errPackets := parsePackets()
			if err != nil || errPackets != nil {
				t.Fatal(err, errPackets)
			}
			if _, err := first.Listen(r, new(site)); err != nil {
				t.Fatal(err)
			}
			if _, err := firstPackets.ListenPacket(r, new(gram)); err != nil {
				t.Fatal(err)
			}
			for _, fd := range []int{fd, packets} { // another file has the number now
				other, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
				if other != fd {
					unix.Dup3(other, fd, unix.O_CLOEXEC)
					unix.Close(other)
				}
				unix.Listen(fd, 1)
				defer unix.Close(fd)
			}
			_, err = second.Listen(r, new(site))
			_, errPackets = secondPackets.ListenPacket(r, new(gram))
			_, third := parse()
			_, thirdPackets := parsePackets()
			for _, err := range []error{err, errPackets, third, thirdPackets} {
				if !errors.Is(err, std.ErrUsed) {
					t.Errorf("EP-17: %v", err)
				}
			}
			if !isOpen(fd) || !isOpen(packets) {
				t.Error("a descriptor of somebody else was closed")
			}
		})
	}
}

// GRAM-16: the error of a name that is not that of one socket says which there are.
func TestSystemdNames(t *testing.T) {
	t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	t.Setenv("LISTEN_FDS", "3")
	t.Setenv("LISTEN_FDNAMES", "dns:log:dns")
	places := std.Schemes(&std.Options{Activation: activation.Take()})
	for text, says := range map[string][]string{
		"systemd:name=dns":  {"2 sockets", "index=0", "index=2"},
		"systemd:name=dnss": {"no socket", `"dns" (index=0)`, `"log" (index=1)`, `"dns" (index=2)`},
	} {
		_, err := places.PacketServer(text)
		for _, word := range says {
			if !isArgument(err, "name") || !strings.Contains(err.Error(), word) {
				t.Errorf("GRAM-16: %s: %v; want %s in it", text, err, word)
			}
		}
	}
}

// GRAM-16: exactly one of index and name says which socket it is. One that was not passed, or is of
// another domain, fails when the description is read.
func TestSystemdArguments(t *testing.T) {
	for text, argument := range map[string]string{
		"systemd:domain=INET":                    "index",
		"systemd:domain=INET:index=0":            "index",
		"systemd:domain=INET:index=x":            "index",
		"systemd:domain=INET:index=-1":           "index",
		"systemd:domain=INET:name=http":          "name",
		"systemd:domain=INET:index=0:name=http":  "name",
		"systemd:domain=INET4:index=0":           "domain",
		"systemd:domain=UNIX:index=0:colour=red": "colour",
	} {
		if _, err := std.Schemes(nil).Server(text); !isArgument(err, argument) {
			t.Errorf("GRAM-16: %s: %v, want an error about %s", text, err, argument)
		}
	}
	if _, err := std.Schemes(nil).Server("systemd:name=http"); err == nil || !strings.Contains(err.Error(), "no sockets were passed") {
		t.Errorf("GRAM-16: nothing was passed: %v", err)
	}
	e := &std.SystemdServer{Domain: "INET", Name: "http"}
	if text := e.String(); text != "systemd:domain=INET:name=http" {
		t.Error(text)
	}
	r, k := double.New(t, reactor.Config{})
	if _, err := e.Listen(r, new(site)); !errors.Is(err, reactor.ErrListen) || len(k.Listens)+len(k.Adoptions) != 0 {
		t.Errorf("listening on what was not passed: %v, %d calls", err, len(k.Listens)+len(k.Adoptions))
	}
}
