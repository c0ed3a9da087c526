package handover

import "github.com/whorl-go/whorl/kernel"

// What tests of hostile programs need.
type Message = message

const (
	MsgHello      = msgHello
	MsgWelcome    = msgWelcome
	MsgRefuse     = msgRefuse
	MsgOffer      = msgOffer
	MsgOffered    = msgOffered
	MsgTaken      = msgTaken
	MsgUnknown    = msgUnknown
	MsgReady      = msgReady
	MsgStopped    = msgStopped
	MsgConnection = msgConnection
	MsgAccepted   = msgAccepted
	MsgRejected   = msgRejected
	MsgGo         = msgGo
	MsgMoved      = msgMoved
	MsgDone       = msgDone
	MsgGaveUp     = msgGaveUp
)

func Encode(m Message) []byte          { return m.encode() }
func Decode(p []byte) (Message, error) { return decode(p) }
func (m message) Kind() msg            { return m.kind }
func (m message) Text() string         { return m.text }
func Hello(role uint8, version int) Message {
	return message{kind: msgHello, role: role, text: magic, number: uint32(version)}
}
func Plain(kind msg, numbers ...int) Message {
	m := message{kind: kind, text: "x"}
	if kind == msgTaken {
		m.role = 1 // it resumes connections
	}
	if len(numbers) > 0 {
		m.number = uint32(numbers[0])
	}
	if len(numbers) > 1 {
		m.socket = uint32(numbers[1])
	}
	return m
}
func (m message) Number() int { return int(m.number) }

// OfferOf offers a stream socket.
func OfferOf(n int, at kernel.Addr) Message {
	return message{kind: msgOffer, number: uint32(n), what: Stream, text: "place", addr: at, asked: at}
}
