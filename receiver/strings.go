package receiver

import (
	"errors"
	"strconv"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/reactor"
)

// Netstring receives netstrings (STR-1). If the peer breaks their form, the connection is
// closed (STR-2).
type Netstring struct {
	// Base has T, the connection's transport, from ConnectionMade on.
	reactor.Base
	conn

	// StringReceived takes each string. It may be empty. Nil: strings are dropped.
	StringReceived func(p []byte)
	// Made is called once, when T is set, and Lost once and last. They are for users
	// without ConnectionMade and ConnectionLost of their own. Nil: nothing is called.
	Made func()
	Lost func(err error)
	// MaxLength is the most bytes in a string. Zero means 99999, negative means 2^31-1.
	MaxLength int

	dec    frame.Netstrings
	broken error
}

var (
	_ reactor.Protocol = (*Netstring)(nil)
	_ reactor.Producer = (*Netstring)(nil)
)

// ConnectionMade sets T and calls Made.
func (n *Netstring) ConnectionMade(t reactor.Transport) { n.made(t, n, &n.Base, n.Made) }

// ConnectionLost drops what was not delivered and calls Lost.
func (n *Netstring) ConnectionLost(err error) { n.lost(err, n.Lost) }

// SendString writes p as a netstring (STR-1). The error is that of the transport's Write.
func (n *Netstring) SendString(p []byte) error {
	head := append(strconv.AppendInt(n.head(), int64(len(p)), 10), ':')
	comma := n.scratch[len(n.scratch)-1:]
	comma[0] = ','
	return n.write(head, p, comma)
}

// Broken is nil as long as the peer keeps to the form. Otherwise it says what the peer
// did wrong: a [*frame.SyntaxError] or a [*frame.TooLongError]. No more strings are
// delivered then, and the connection is closing (STR-2). The error stays after the
// connection is lost.
func (n *Netstring) Broken() error { return n.broken }

func (n *Netstring) decoder() decoder {
	n.dec.MaxLength = n.MaxLength
	return &n.dec
}

func (n *Netstring) received(p []byte) { n.call(n.StringReceived, p, "StringReceived") }

func (n *Netstring) failed(err error) {
	n.broken = err
	n.T.Close()
}

// Prefixed receives strings that follow their length. The length has 1, 2 or 4 bytes and
// is big-endian (STR-3).
type Prefixed struct {
	// Base has T, the connection's transport, from ConnectionMade on.
	reactor.Base
	conn

	// StringReceived takes each string. It may be empty. Nil: strings are dropped.
	StringReceived func(p []byte)
	// LengthLimitExceeded is called with the length of a string above MaxLength. Neither
	// that string nor anything after it is delivered. The function should close or abort
	// the connection, now or later. Nil: the connection is closed (STR-4).
	LengthLimitExceeded func(length int64)
	// Made is called once, when T is set, and Lost once and last. They are for users
	// without ConnectionMade and ConnectionLost of their own. Nil: nothing is called.
	Made func()
	Lost func(err error)
	// Width is how many bytes a length has. Zero means 4. Any value but frame.Width8,
	// Width16 and Width32 panics.
	Width frame.Width
	// MaxLength is the most bytes in a string. Zero means 99999, negative means 2^31-1.
	MaxLength int

	dec frame.Prefixed
}

var (
	_ reactor.Protocol = (*Prefixed)(nil)
	_ reactor.Producer = (*Prefixed)(nil)
)

// ConnectionMade sets T and calls Made.
func (x *Prefixed) ConnectionMade(t reactor.Transport) { x.made(t, x, &x.Base, x.Made) }

// ConnectionLost drops what was not delivered and calls Lost.
func (x *Prefixed) ConnectionLost(err error) { x.lost(err, x.Lost) }

// SendString writes the length of p and p. If the length does not fit into Width bytes,
// nothing is written and the error is a [*frame.TooLongError] (STR-5). Otherwise the
// error is that of the transport's Write.
func (x *Prefixed) SendString(p []byte) error {
	head, err := frame.AppendPrefix(x.head(), x.Width, len(p))
	if err != nil {
		return err
	}
	return x.write(head, p)
}

func (x *Prefixed) decoder() decoder {
	x.dec.Width, x.dec.MaxLength = x.Width, x.MaxLength
	return &x.dec
}

func (x *Prefixed) received(p []byte) { x.call(x.StringReceived, p, "StringReceived") }

func (x *Prefixed) failed(err error) {
	x.dec.Stop()
	if e, ok := errors.AsType[*frame.TooLongError](err); ok {
		if x.LengthLimitExceeded != nil {
			x.LengthLimitExceeded(e.Length)
			return
		}
		x.missing("LengthLimitExceeded")
	}
	x.T.Close()
}
