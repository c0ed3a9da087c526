package receiver

import (
	"errors"
	"strconv"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/reactor"
)

// Netstring receives netstrings (STR-1). A peer that does not keep to their form
// loses the connection (STR-2).
type Netstring struct {
	// Base has T, the connection's transport, from ConnectionMade on.
	reactor.Base
	conn

	// StringReceived takes each string; it may be empty. Nil: strings are dropped.
	StringReceived func(p []byte)
	// Made, when T is there, and Lost, once and last, are ConnectionMade and
	// ConnectionLost without a method of one's own. Nil: nothing.
	Made func()
	Lost func(err error)
	// MaxLength is the most bytes in a string. Zero: 99999; negative: 2^31-1.
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

// SendString writes p as a netstring (STR-1). The error is the transport's.
func (n *Netstring) SendString(p []byte) error {
	head := append(strconv.AppendInt(n.scratch[:0], int64(len(p)), 10), ':')
	if err := n.write(head, p); err != nil {
		return err
	}
	return n.write(append(n.scratch[:0], ','))
}

// Broken is nil as long as the peer keeps to the form, and then what it did wrong:
// a [*frame.SyntaxError] or a [*frame.TooLongError]. No string is delivered any
// more, and the connection is closing (STR-2). It stays so after the loss.
func (n *Netstring) Broken() error { return n.broken }

func (n *Netstring) decoder() decoder {
	n.dec.MaxLength = n.MaxLength
	return &n.dec
}

func (n *Netstring) received(p []byte) { call(n.StringReceived, p) }

func (n *Netstring) failed(err error) {
	n.broken = err
	n.T.Close()
}

// Prefixed receives strings with their length before them, in 1, 2 or 4 bytes,
// big-endian (STR-3).
type Prefixed struct {
	// Base has T, the connection's transport, from ConnectionMade on.
	reactor.Base
	conn

	// StringReceived takes each string; it may be empty. Nil: strings are dropped.
	StringReceived func(p []byte)
	// LengthLimitExceeded takes the length of a string above MaxLength, which is
	// not delivered; nor is anything after it, since what follows is that string.
	// It should close, or abort, now or later. Nil: the connection is closed
	// (STR-4).
	LengthLimitExceeded func(length int64)
	// Made, when T is there, and Lost, once and last, are ConnectionMade and
	// ConnectionLost without a method of one's own. Nil: nothing.
	Made func()
	Lost func(err error)
	// Width is how many bytes a prefix has. Zero: 4. One that is none of
	// frame.Width8, Width16 and Width32 panics.
	Width frame.Width
	// MaxLength is the most bytes in a string. Zero: 99999; negative: 2^31-1.
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

// SendString writes p with its length before it. If the prefix cannot say the
// length, nothing is written and the error is a [*frame.TooLongError] (STR-5);
// otherwise it is the transport's.
func (x *Prefixed) SendString(p []byte) error {
	head, err := frame.AppendPrefix(x.scratch[:0], x.Width, len(p))
	if err != nil {
		return err
	}
	return x.write(head, p)
}

func (x *Prefixed) decoder() decoder {
	x.dec.Width, x.dec.MaxLength = x.Width, x.MaxLength
	return &x.dec
}

func (x *Prefixed) received(p []byte) { call(x.StringReceived, p) }

func (x *Prefixed) failed(err error) {
	x.dec.Stop()
	if e, ok := errors.AsType[*frame.TooLongError](err); ok && x.LengthLimitExceeded != nil {
		x.LengthLimitExceeded(e.Length)
		return
	}
	x.T.Close()
}
