// Package rpc calls functions of another program: requests and answers are JSON behind a
// length of four bytes, many at a time, and answered in any order. Client connects again,
// changes the server when one says goodbye, and calls each caller back exactly once.
package rpc

import (
	"encoding/json"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// MaxMessage is the most bytes of a message.
const MaxMessage = 1 << 20

// DefaultBeat is how often each side says that it is there. The other side is given up after
// three times as long.
const DefaultBeat = 10 * time.Second

var (
	// ErrLost: the connection was lost before the answer came. The call may have been made.
	ErrLost = kernel.Sentinel("connection lost before the answer", reactor.ErrLost)
	// ErrTimeout: no answer came in time.
	ErrTimeout = kernel.Sentinel("no answer in time", kernel.ErrTimeout)
	// ErrBusy: too many calls wait for answers.
	ErrBusy = kernel.Sentinel("too many calls wait")
	// ErrTooLong: the call does not fit into MaxMessage.
	ErrTooLong = kernel.Sentinel("call too long")
	// ErrClosed: the client was closed.
	ErrClosed = kernel.Sentinel("client closed")
)

// RemoteError is the error of a handler, as text.
type RemoteError string

// Error is the text.
func (e RemoteError) Error() string { return string(e) }

// message is what both sides send. A call has an ID and a Method, an answer an ID and no
// Method. One without an ID is a beat, which says that the sender is there; Goodbye in it
// asks the client to send no more calls on this connection.
type message struct {
	ID      uint64          `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   string          `json:"error,omitempty"`
	Goodbye bool            `json:"goodbye,omitempty"`
}

// link is one side of a connection: messages, beats, and the end of a silent peer.
type link struct {
	receiver.Prefixed
	beat    time.Duration
	handle  func(m *message)
	ticker  *reactor.Ticker
	silence int // beats of ours since the peer was heard
	deaf    bool
	sent    uint64 // what the peer had taken when the last beat was due
}

// ConnectionMade begins to beat.
func (l *link) ConnectionMade(t reactor.Transport) {
	if l.beat <= 0 {
		l.beat = DefaultBeat
	}
	l.MaxLength = MaxMessage
	l.StringReceived = l.received
	l.ticker = t.Reactor().Every(l.beat, l.tick)
	l.Prefixed.ConnectionMade(t)
}

// ConnectionLost ends the beats.
func (l *link) ConnectionLost(err error) {
	l.ticker.Stop()
	l.Prefixed.ConnectionLost(err)
}

func (l *link) tick() {
	l.silence++
	if sent := l.taken(); l.deaf && (sent != l.sent || l.T.Buffered() == 0) { // who does not read hears nothing, but the peer may read
		l.sent, l.silence = sent, 0
	}
	if l.silence > 3 {
		l.T.Abort()
		return
	}
	if l.T.Buffered() == 0 {
		l.send(&message{})
	}
}

// taken is how many bytes the system has taken so far, and so how far the peer has read.
func (l *link) taken() uint64 {
	if s, ok := reactor.As[*reactor.Stream](l.T); ok {
		return s.Stats().Sent
	}
	return 0
}

// listen says whether the receiver reads.
func (l *link) listen(yes bool) {
	l.deaf, l.silence = !yes, 0
	if yes {
		l.Prefixed.ResumeProducing()
	} else {
		l.Prefixed.PauseProducing()
	}
}

func (l *link) received(p []byte) {
	l.silence = 0
	m := new(message)
	if json.Unmarshal(p, m) != nil {
		l.T.Abort()
		return
	}
	l.handle(m)
}

// send sends m. If it fails, ConnectionLost tells.
func (l *link) send(m *message) {
	p, err := json.Marshal(m)
	if err != nil || len(p) > MaxMessage { // a call was looked at before
		p, _ = json.Marshal(&message{ID: m.ID, Error: "the answer is too long"})
	}
	l.SendString(p)
}
