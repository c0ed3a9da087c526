package native

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// unixgramAt is packetConn for a name, or none.
func unixgramAt(t *testing.T, k kernel.Kernel, name string) *unixgramConn {
	t.Helper()
	return packetConn(t, k, kernel.UNIXDatagramAddr(name), nil).(*unixgramConn)
}

// A receiver whose queue is full has the send stop in the middle: the count, then ErrAgain. What was sent arrives, and the rest
// after it, in order (UNIXD-5). A connected sender becomes ready when there is room; one that is not always is.
func TestUnixgramFull(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		for _, connected := range []bool{false, true} {
			r := unixgramAt(t, k, filepath.Join(t.TempDir(), "r"))
			s := unixgramAt(t, k, "")
			to := r.Local()
			if connected {
				connectTo(t, s, to)
				to = kernel.Addr{}
			}
			p := run(to, 100, 40)
			sent := 0
			var got []kernel.Packet
			for len(got) < len(p) {
				n, err := s.WritePackets(p[sent:])
				if sent += n; sent < len(p) && err != kernel.ErrAgain || sent == len(p) && err != nil {
					t.Fatalf("UNIXD-5: %d sent, %v", sent, err)
				}
				if sent == 100 && len(got) == 0 {
					t.Fatal("nothing filled the queue")
				}
				if sent < len(p) {
					if ready := waits(t, k, s, kernel.Writable, k.Now()+5*time.Millisecond); ready == connected {
						t.Errorf("connected %v, and ready %v", connected, ready)
					}
				}
				got = append(got, receive(t, k, r, sent-len(got))...)
				if connected && !waits(t, k, s, kernel.Writable, k.Now()+10*time.Second) {
					t.Fatal("there is room, and the sender is not ready")
				}
			}
			same(t, got, p)
			none(t, r)
		}
	})
}

// A sender without a name has no address, one with a file or an abstract name has that, and a short one does not shorten the
// next (UNIXD-3).
func TestUnixgramNames(t *testing.T) {
	k := openFirst(t)
	dir := t.TempDir()
	r := unixgramAt(t, k, filepath.Join(dir, "r"))
	for range 2 {
		for _, name := range []string{"", filepath.Join(dir, "a"), filepath.Join(dir, "long"+strings.Repeat("x", 20)), "@" + filepath.Join(dir, "b"), ""} {
			s := unixgramAt(t, k, name)
			p := run(r.Local(), 2, 10)
			sends(t, s, p)
			want := kernel.Addr{}
			if name != "" {
				want = kernel.UNIXDatagramAddr(name)
			}
			for _, got := range receive(t, k, r, 2) {
				if got.Peer != want {
					t.Errorf("UNIXD-3: from %q, want %q", got.Peer, name)
				}
			}
			s.Close()
		}
	}
}

// A receiver that has gone refuses each datagram, whatever the system calls it the second time (UNIXD-7). The sender lives on.
func TestUnixgramGone(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		r := unixgramAt(t, k, filepath.Join(t.TempDir(), "r"))
		other := unixgramAt(t, k, filepath.Join(t.TempDir(), "other"))
		c, s := unixgramAt(t, k, ""), unixgramAt(t, k, "")
		to := r.Local()
		connectTo(t, c, to)
		sends(t, c, run(kernel.Addr{}, 1, 1))
		fd, err := unix.Open(to.Name, unix.O_PATH, 0) // the file must not keep its number
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		r.Close()
		for range 3 {
			if n, err := c.WritePackets(run(kernel.Addr{}, 2, 1)); n != 0 || !errors.Is(err, kernel.ErrRefused) {
				t.Errorf("UNIXD-7: connected: %d, %v", n, err)
			}
			if n, err := s.WritePackets(run(to, 2, 1)); n != 0 || err == nil {
				t.Errorf("UNIXD-7: %d, %v", n, err)
			}
		}
		none(t, c)
		connectTo(t, c, other.Local())
		sends(t, c, run(kernel.Addr{}, 1, 1))
		sends(t, s, run(other.Local(), 1, 1))
		if len(receive(t, k, other, 2)) != 2 {
			t.Error("UNIXD-7: the senders are lost")
		}
	})
}

// A peer that turns to somebody else resets us, for the system. The socket reads on and sends on.
func TestUnixgramPeerTurns(t *testing.T) {
	eachPacket(t, func(t *testing.T, k kernel.Kernel) {
		dir := t.TempDir()
		a, b, c := unixgramAt(t, k, filepath.Join(dir, "a")), unixgramAt(t, k, filepath.Join(dir, "b")), unixgramAt(t, k, filepath.Join(dir, "c"))
		connectTo(t, a, b.Local())
		for range 2 {
			connectTo(t, b, a.Local())
			sends(t, a, run(kernel.Addr{}, 1, 5)) // which the system drops, and therefore tells us
			connectTo(t, b, c.Local())
			none(t, a)
			if waits(t, k, a, kernel.Readable, k.Now()+5*time.Millisecond) {
				t.Error("the socket is ready for ever")
			}
			connectTo(t, b, a.Local())
			sends(t, a, run(kernel.Addr{}, 1, 5))
			connectTo(t, b, c.Local())
			connectTo(t, b, a.Local())
			sends(t, a, run(kernel.Addr{}, 1, 6))
			if got := receive(t, k, b, 1); len(got) != 1 || len(got[0].Data) != 6 {
				t.Error("nothing came")
			}
		}
	})
}

// Descriptors that come with a datagram are closed by the system: the datagram arrives, and nothing is left open.
func TestUnixgramDescriptors(t *testing.T) {
	leaktest.KeepsDescriptors(t)
	k := openFirst(t)
	r := unixgramAt(t, k, filepath.Join(t.TempDir(), "r"))
	fd := socketFor(t, unix.AF_UNIX, unix.SOCK_DGRAM)
	receive := func() {
		t.Helper()
		if err := unix.Sendmsg(fd, []byte("x"), unix.UnixRights(fd, fd, fd), &unix.SockaddrUnix{Name: r.Local().Name}, 0); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, k, r, 1); len(got) != 1 || string(got[0].Data) != "x" || got[0].Truncated {
			t.Errorf("read %+v", got)
		}
	}
	receive()
	before := leaktest.Descriptors()
	for range 20 {
		receive()
	}
	if after := leaktest.Descriptors(); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// One that is longer than 64 KiB is told to be cut, one of 64 KiB is whole (UDP-12).
func TestUnixgramTruncated(t *testing.T) {
	k := openFirst(t)
	r := unixgramAt(t, k, filepath.Join(t.TempDir(), "r"))
	s := unixgramAt(t, k, "")
	sends(t, s, []kernel.Packet{{Data: payload(1, slotSize+1), Peer: r.Local()}})
	sends(t, s, []kernel.Packet{{Data: payload(2, slotSize), Peer: r.Local()}, {Peer: r.Local()}})
	got := receive(t, k, r, 3)
	if len(got[0].Data) != slotSize || !got[0].Truncated || len(got[1].Data) != slotSize || got[1].Truncated || len(got[2].Data) != 0 || got[2].Truncated {
		t.Errorf("UDP-12: %d bytes, cut %v; %d, cut %v; %d, cut %v", len(got[0].Data), got[0].Truncated, len(got[1].Data), got[1].Truncated, len(got[2].Data), got[2].Truncated)
	}
	if n, err := s.WritePackets([]kernel.Packet{{Data: make([]byte, 8<<20), Peer: r.Local()}, {Peer: r.Local()}}); n != 0 || !errors.Is(err, kernel.ErrMessageSize) {
		t.Errorf("UNIXD-5: %d, %v", n, err)
	}
}
