package websocket

import (
	"fmt"
	"io"
	"time"

	"github.com/gobwas/ws"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Errors of this package, for errors.Is.
var (
	// ErrTooBig: the peer has sent more than Options.MaxMessage or MaxPartial allows.
	ErrTooBig = kernel.Sentinel("message too big", reactor.ErrLost)
	// ErrTooSlow: the peer reads so slowly that more than Options.MaxUnsent was unsent.
	ErrTooSlow = kernel.Sentinel("the peer reads too slowly", reactor.ErrLost)
	// ErrSilent: the peer has sent no whole frame for twice Options.Ping, not even the answer to a ping.
	ErrSilent = kernel.Sentinel("the peer is silent", reactor.ErrLost)
	// ErrUnfinished: a message of the peer that comes in fragments has not come whole within Options.MessageTimeout.
	ErrUnfinished = kernel.Sentinel("the peer does not finish a message", reactor.ErrLost)
	// ErrProtocol: the peer has broken the rules of the WebSocket protocol. The error that wraps it says which.
	ErrProtocol = kernel.Sentinel("bad WebSocket data", reactor.ErrLost)
	// ErrNoClose: the peer has ended the connection without a close frame.
	ErrNoClose = kernel.Sentinel("the peer ended without a close frame", reactor.ErrLost, io.ErrUnexpectedEOF)
	// ErrHandler: a function of Blocking has failed. The error that wraps it has its reason.
	ErrHandler = kernel.Sentinel("handling a message failed", reactor.ErrLost)
)

// Codes of close frames (RFC 6455, 7.4), for CloseWith.
const (
	CodeNormal      = uint16(ws.StatusNormalClosure)
	CodeGoingAway   = uint16(ws.StatusGoingAway)
	CodeProtocol    = uint16(ws.StatusProtocolError)
	CodeUnsupported = uint16(ws.StatusUnsupportedData)
	CodeNone        = uint16(ws.StatusNoStatusRcvd) // never sent: the peer's close frame has no code
	CodeInvalid     = uint16(ws.StatusInvalidFramePayloadData)
	CodePolicy      = uint16(ws.StatusPolicyViolation)
	CodeTooBig      = uint16(ws.StatusMessageTooBig)
	CodeInternal    = uint16(ws.StatusInternalServerError)
	CodeTryLater    = uint16(1013)
)

// CloseError is the reason when the peer has ended the connection by a close frame. It is io.EOF, for errors.Is, if the code is 1000, 1001 or none: an orderly end.
// Any other code is reactor.ErrLost.
type CloseError struct {
	Code   uint16
	Reason string // at most 123 bytes, valid UTF-8
}

// Error says the code and the reason.
func (e *CloseError) Error() string {
	return fmt.Sprintf("the peer closed with code %d %q", e.Code, e.Reason)
}

// Unwrap is io.EOF or reactor.ErrLost.
func (e *CloseError) Unwrap() error {
	switch e.Code {
	case CodeNormal, CodeGoingAway, CodeNone:
		return io.EOF
	}
	return reactor.ErrLost
}

// silentFor is ErrSilent with the time.
func silentFor(d time.Duration) error { return fmt.Errorf("%w for %v", ErrSilent, d) }
