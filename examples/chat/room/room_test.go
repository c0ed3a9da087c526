package room_test

import (
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/examples/chat/room"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// visitor notes what a room says.
type visitor struct {
	reactor.Base
	heard string
}

func (v *visitor) DataReceived(p []byte) { v.heard += string(p) }

func TestRoom(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), new(room.Room), nil)
			if err != nil {
				t.Fatal(err)
			}
			enter := func(line string) *visitor {
				v := new(visitor)
				r.Dial(port.Addr(), reactor.One(v), nil, nil)
				testworld.Until(t, func() bool { return v.T != nil }, r)
				v.T.Write([]byte(line))
				return v
			}
			hears := func(v *visitor, want string) {
				t.Helper()
				testworld.Until(t, func() bool { return len(v.heard) >= len(want) }, r)
				if v.heard != want {
					t.Fatalf("heard %q, want %q", v.heard, want)
				}
				v.heard = ""
			}
			ann := enter("ann\n")
			hears(ann, "* ann joined\n")
			hears(enter("ann\n"), "! ann is taken\n")
			hears(enter(" ann\r\n"), "! ann is taken\n")
			// A name that was refused does not end the connection, and takes no place in the room.
			nobody := enter("\n \t\r\n")
			hears(nobody, "! a name must not be empty\n! a name must not be empty\n")
			nobody.T.Write([]byte("eve\n"))
			hears(nobody, "* eve joined\n")
			hears(ann, "* eve joined\n")
			nobody.T.Close()
			hears(ann, "* eve left\n")
			bob := enter("bob\nhello\n")
			hears(ann, "* bob joined\nbob: hello\n")
			hears(bob, "* bob joined\nbob: hello\n")
			bob.T.Close()
			hears(ann, "* bob left\n")
		})
	}
}
