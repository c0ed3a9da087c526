package handover

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// messages are one of each kind, with all fields that it has.
func messages() []message {
	tcp := kernel.TCPAddr(netip.MustParseAddr("fe80::1%eth0"), 8007)
	unix := kernel.UNIXAddr("/run/x")
	all := []message{
		{kind: msgHello, role: roleSuccessor, text: magic, number: 7, socket: 4711},
		{kind: msgWelcome, number: 1, socket: 4711},
		{kind: msgRefuse, role: codeBusy, text: "busy"},
		{kind: msgOffer, number: 3, what: Stream, text: "http", addr: tcp, asked: kernel.TCPAddr(netip.IPv4Unspecified(), 0)},
		{kind: msgOffer, number: 3, what: Packet, text: "", addr: unix},
		{kind: msgConnection, number: 9, socket: 3, addr: tcp, state: []byte("state"), unsent: []byte("unsent")},
		{kind: msgRejected, number: 9, text: "no"},
		{kind: msgMoved, number: 9, socket: 2},
		{kind: msgGaveUp, text: "gone"},
	}
	for _, k := range []msg{msgTaken, msgUnknown, msgAccepted, msgGo} {
		all = append(all, message{kind: k, number: 1 << 31})
	}
	for _, k := range []msg{msgOffered, msgReady, msgStopped, msgDone} {
		all = append(all, message{kind: k})
	}
	for i := range all {
		all[i].fd = -1
	}
	return all
}

// What was encoded is decoded. Cut short at any place, or with a byte more, it is refused.
func TestMessages(t *testing.T) {
	seen := map[msg]bool{}
	for _, m := range messages() {
		seen[m.kind] = true
		p := m.encode()
		if n := int(binary.BigEndian.Uint32(p)); n != len(p)-4 {
			t.Errorf("%v: length %d of %d", m, n, len(p)-4)
		}
		got, err := decode(p[4:])
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
		for i := 4; i < len(p); i++ {
			if _, err := decode(p[4:i]); !errors.Is(err, ErrProtocol) {
				t.Errorf("%+v cut to %d: %v", m, i-4, err)
			}
		}
		if _, err := decode(append(p[4:], 0)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%+v with a byte more: %v", m, err)
		}
	}
	for k := msgHello; k <= msgGaveUp; k++ {
		if !seen[k] {
			t.Errorf("no message of kind %d was tried", k)
		}
	}
}

// What is too long is refused, and a text that would be is cut when it is sent.
func TestLongMessages(t *testing.T) {
	if _, err := decode(append([]byte{byte(msgReady)}, make([]byte, maxControl)...)); !errors.Is(err, ErrProtocol) {
		t.Errorf("a long message: %v", err)
	}
	m := message{kind: msgRejected, text: strings.Repeat("x", 70000)}
	if got, err := decode(m.encode()[4:]); err != nil || len(got.text) != maxName {
		t.Errorf("a long text: %d bytes, %v", len(got.text), err)
	}
	m = message{kind: msgConnection, state: make([]byte, MaxState+1)}
	if _, err := decode(m.encode()[4:]); !errors.Is(err, ErrProtocol) {
		t.Errorf("a long state: %v", err)
	}
	m.state = make([]byte, MaxState)
	if _, err := decode(m.encode()[4:]); err != nil {
		t.Errorf("the longest state: %v", err)
	}
}

// Any bytes are a message or refused; what was decoded can be encoded again.
func FuzzDecode(f *testing.F) {
	for _, m := range messages() {
		f.Add(m.encode()[4:])
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := decode(p)
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatal(err)
			}
			return
		}
		again, err := decode(m.encode()[4:])
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}
