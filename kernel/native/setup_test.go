//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// What cannot be opened or adopted is nil, and no interface that holds a nil pointer. Nothing stays
// open (X-5, ADOPT-16).
func TestFailureIsNil(t *testing.T) {
	k := openFirst(t)
	failing := errors.New("of the test")
	bad := kernel.StreamOptions{Control: func(uintptr) error { return failing }}
	there, err := k.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	c, err := k.Dial(there.Local(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	path := kernel.UNIXAddr(filepath.Join(t.TempDir(), "s"))
	listening, connected := int(there.(*listener).fd), int(c.(*conn).fd)
	a, _ := kernel.As[kernel.Adopter](k)
	packets, _ := kernel.As[kernel.Packets](k)
	for what, open := range map[string]func() (kernel.Handle, error){
		"Listen": func() (kernel.Handle, error) {
			return k.Listen(there.Local(), &kernel.ListenOptions{StreamOptions: bad})
		},
		"Dial":         func() (kernel.Handle, error) { return k.Dial(there.Local(), &kernel.DialOptions{StreamOptions: bad}) },
		"Listen, UNIX": func() (kernel.Handle, error) { return k.Listen(path, &kernel.ListenOptions{StreamOptions: bad}) },
		"Dial, UNIX":   func() (kernel.Handle, error) { return k.Dial(path, nil) },
		"AdoptListener": func() (kernel.Handle, error) {
			return a.AdoptListener(listening, &kernel.ListenOptions{StreamOptions: bad})
		},
		"ListenPacket": func() (kernel.Handle, error) {
			return packets.ListenPacket(kernel.UDPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), &kernel.PacketOptions{Control: bad.Control})
		},
		"ListenPacket, UNIX": func() (kernel.Handle, error) {
			return packets.ListenPacket(kernel.UNIXDatagramAddr(path.Name), &kernel.PacketOptions{Control: bad.Control})
		},
		"AdoptConn": func() (kernel.Handle, error) { return a.AdoptConn(connected, &bad) },
	} {
		h, err := open()
		if err == nil || h != nil {
			t.Errorf("X-5, ADOPT-16: %s: %T, %v", what, h, err)
		}
	}
}
