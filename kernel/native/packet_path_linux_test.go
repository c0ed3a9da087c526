package native

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// A router says that a datagram which was sent earlier was too long for the path. That neither fails the next one, which is short,
// nor ends the socket: it is a report (UDP-15, UDP-21).
func hostsPath(t *testing.T, h *links) {
	r, s := h.udp(t, h.a, "127.0.0.1", 0, nil), h.udp(t, h.a, "127.0.0.1", 0, nil)
	connectTo(t, s, r.Local())
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		t.Skip(err)
	}
	defer unix.Close(raw)
	for _, read := range []bool{false, true} {
		sends(t, s, run(kernel.Addr{}, 1, 2000))
		tooLong(t, raw, s.Local(), r.Local())
		if !waits(t, h.k, s, kernel.Readable, h.k.Now()+10*time.Second) {
			t.Fatal("UDP-15: nothing is reported")
		}
		if !read {
			sends(t, s, run(kernel.Addr{}, 1, 10)) // UDP-21
		}
		if got, err := s.ReadPackets(); err != nil || len(got) != 1 || !errors.Is(got[0].Err, kernel.ErrMessageSize) || got[0].Peer != r.Local() {
			t.Errorf("UDP-15: %+v, %v", got, err)
		}
		none(t, s)
	}
	// Without the system's queue the failure alone is told, once.
	if err := unix.SetsockoptInt(int(s.fd), unix.IPPROTO_IP, unix.IP_RECVERR, 0); err != nil {
		t.Fatal(err)
	}
	tooLong(t, raw, s.Local(), r.Local())
	if got, err := s.ReadPackets(); err != nil || len(got) != 1 || !errors.Is(got[0].Err, kernel.ErrMessageSize) || got[0].Peer != r.Local() {
		t.Errorf("UDP-15: %+v, %v", got, err)
	}
	none(t, s)
}

// tooLong sends what a router says of a datagram from one address to another: fragmentation is needed, and forbidden.
func tooLong(t *testing.T, raw int, from, to kernel.Addr) {
	t.Helper()
	b := make([]byte, 8+20+8)
	b[0], b[1] = 3, 4 // destination unreachable, fragmentation needed
	binary.BigEndian.PutUint16(b[6:], 1000)
	head := b[8:]
	head[0], head[8], head[9] = 0x45, 64, unix.IPPROTO_UDP
	binary.BigEndian.PutUint16(head[2:], 2028)
	four := from.IP.Addr().As4()
	copy(head[12:], four[:])
	four = to.IP.Addr().As4()
	copy(head[16:], four[:])
	binary.BigEndian.PutUint16(head[20:], from.Port())
	binary.BigEndian.PutUint16(head[22:], to.Port())
	binary.BigEndian.PutUint16(head[24:], 2008)
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(b[2:], ^uint16(sum))
	if err := unix.Sendto(raw, b, 0, &unix.SockaddrInet4{Addr: from.IP.Addr().As4()}); err != nil {
		t.Fatal(err)
	}
}
