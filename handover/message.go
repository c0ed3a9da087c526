package handover

import (
	"encoding/binary"
	"net/netip"

	"github.com/whorl-go/whorl/kernel"
)

// msg is the first byte of a message. The number is the protocol's.
type msg uint8

const (
	msgHello      msg = 1 + iota // successor, watcher: magic, highest version, role, process
	msgWelcome                   // old: version, process
	msgRefuse                    // either: code, text. The hand-over is over.
	msgOffer                     // old: index, kind, name, address, requested address; with a descriptor
	msgOffered                   // old: no more are offered
	msgTaken                     // successor: index, whether it resumes connections
	msgUnknown                   // successor: index
	msgReady                     // successor
	msgStopped                   // old: it accepts no more
	msgConnection                // old: number, index of the socket, peer, state, unsent; with a descriptor
	msgAccepted                  // successor: number. It has made the protocol, and has not touched the socket.
	msgRejected                  // successor: number, text
	msgGo                        // old: number. The connection is the successor's.
	msgMoved                     // old: number of those that have moved, and of those that are left
	msgDone                      // old: no connection is left
	msgGaveUp                    // old, to watchers: a successor did not get ready; text
	msgSuccessor                 // old, to watchers: a successor has come, and what follows is of it; process
)

// magic begins a hello, so that a program that was meant for another socket is told apart.
const magic = "whorl-handover"

// The roles of a hello.
const (
	roleSuccessor = 1
	roleWatcher   = 2
)

// The codes of a refusal.
const (
	codeOther   = 0
	codeBusy    = 1
	codeVersion = 2
	codeTimeout = 3
	codeBroken  = 4
)

// message is any message. Each kind has some of the fields.
type message struct {
	kind   msg
	fd     int // the descriptor that came with it; -1 for none
	number uint32
	socket uint32 // of msgConnection
	role   uint8  // or a code; of msgTaken: 1 if connections are resumed
	text   string // magic, name, reason
	what   Kind
	addr   kernel.Addr
	asked  kernel.Addr
	state  []byte // the receiver's
	unsent []byte
}

// hasDescriptor tells whether a message of this kind comes with a descriptor.
func (k msg) hasDescriptor() bool { return k == msgOffer || k == msgConnection }

// encode returns m as a frame.
func (m *message) encode() []byte {
	b := make([]byte, 4, 64+len(m.state)+len(m.unsent))
	b = append(b, byte(m.kind))
	switch m.kind {
	case msgHello, msgRefuse, msgGaveUp:
		b = appendText(append(b, m.role), m.text)
		b = appendNumbers(b, m.number, m.socket)
	case msgWelcome, msgMoved:
		b = appendNumbers(b, m.number, m.socket)
	case msgOffer:
		b = append(appendNumbers(b, m.number), byte(m.what))
		b = appendAddr(appendAddr(appendText(b, m.text), m.addr), m.asked)
	case msgTaken:
		b = append(appendNumbers(b, m.number), m.role)
	case msgUnknown, msgAccepted, msgGo, msgSuccessor:
		b = appendNumbers(b, m.number)
	case msgRejected:
		b = appendText(appendNumbers(b, m.number), m.text)
	case msgConnection:
		b = appendAddr(appendNumbers(b, m.number, m.socket), m.addr)
		b = appendBytes(appendBytes(b, m.state), m.unsent)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func appendNumbers(b []byte, all ...uint32) []byte {
	for _, n := range all {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

// appendText appends s, or the beginning of a longer one.
func appendText(b []byte, s string) []byte {
	s = s[:min(len(s), maxName)]
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendBytes(b, p []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(p))), p...)
}

func appendAddr(b []byte, a kernel.Addr) []byte {
	b = append(b, byte(a.Net))
	ip := ""
	if a.IP.Addr().IsValid() {
		ip = a.IP.Addr().String()
	}
	b = appendText(b, ip)
	b = binary.BigEndian.AppendUint16(b, a.IP.Port())
	return appendText(b, a.Name)
}

// decode reads a message. p is the frame without its length, and is not kept.
func decode(p []byte) (message, error) {
	d := decoder{rest: p}
	m := message{kind: msg(d.octet()), fd: -1}
	if m.kind != msgConnection && len(p) > maxControl {
		return m, broken("a message of kind %d has %d bytes", m.kind, len(p))
	}
	switch m.kind {
	case msgHello, msgRefuse, msgGaveUp:
		m.role, m.text = d.octet(), d.text()
		m.number, m.socket = d.number(), d.number()
	case msgWelcome, msgMoved:
		m.number, m.socket = d.number(), d.number()
	case msgOffer:
		m.number, m.what, m.text = d.number(), Kind(d.octet()), d.text()
		m.addr, m.asked = d.addr(), d.addr()
	case msgTaken:
		m.number, m.role = d.number(), d.octet()
	case msgUnknown, msgAccepted, msgGo, msgSuccessor:
		m.number = d.number()
	case msgRejected:
		m.number, m.text = d.number(), d.text()
	case msgConnection:
		m.number, m.socket, m.addr = d.number(), d.number(), d.addr()
		m.state, m.unsent = d.bytes(), d.bytes()
	case msgOffered, msgReady, msgStopped, msgDone:
	default:
		return m, broken("there is no message of kind %d", m.kind)
	}
	if d.short || len(d.rest) > 0 {
		return m, broken("a message of kind %d has a wrong length", m.kind)
	}
	return m, nil
}

// decoder reads fields from rest. After a field that is cut short it returns zero values.
type decoder struct {
	rest  []byte
	short bool
}

// take returns the next n bytes, or nil.
func (d *decoder) take(n int) []byte {
	if n > len(d.rest) || d.short {
		d.short, d.rest = true, nil
		return nil
	}
	p := d.rest[:n]
	d.rest = d.rest[n:]
	return p
}

func (d *decoder) octet() uint8 {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) short16() int {
	if p := d.take(2); p != nil {
		return int(binary.BigEndian.Uint16(p))
	}
	return 0
}

func (d *decoder) number() uint32 {
	if p := d.take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// text reads at most maxName bytes.
func (d *decoder) text() string {
	n := d.short16()
	if n > maxName {
		d.short = true
	}
	return string(d.take(n))
}

// bytes reads at most MaxState bytes.
func (d *decoder) bytes() []byte {
	n := d.number()
	if n > MaxState {
		d.short = true
		return nil
	}
	return append([]byte(nil), d.take(int(n))...)
}

func (d *decoder) addr() kernel.Addr {
	a := kernel.Addr{Net: kernel.Net(d.octet())}
	ip, port := d.text(), uint16(d.short16())
	a.Name = d.text()
	if ip != "" {
		at, err := netip.ParseAddr(ip)
		if err != nil {
			d.short = true
		}
		a.IP = netip.AddrPortFrom(at, port)
	} else {
		a.IP = netip.AddrPortFrom(netip.Addr{}, port)
	}
	return a
}
