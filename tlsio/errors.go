package tlsio

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Errors for errors.Is. They reach the application as the cause of an [*Error].
var (
	// ErrHandshake: the connection ended before it was protected. Every error of a
	// handshake is this too.
	ErrHandshake = kernel.Sentinel("TLS handshake failed")
	// ErrHandshakeTimeout: the peer, or a callback of the Config, took longer than
	// Options.HandshakeTimeout.
	ErrHandshakeTimeout = kernel.Sentinel("TLS handshake took too long", kernel.ErrTimeout)
	// ErrHandshakeQueued: the handshake waited for a worker for longer than
	// Options.HandshakeTimeout. It is also ErrHandshakeTimeout.
	ErrHandshakeQueued = kernel.Sentinel("TLS handshake waited too long for a worker; see Options.Workers", ErrHandshakeTimeout)
	// ErrHandshakesBusy: too many handshakes are pending, so this one was refused; see
	// Options.MaxPendingHandshakes and Options.MaxPendingPerPeer.
	ErrHandshakesBusy = kernel.Sentinel("too many TLS handshakes are pending")
	// ErrHandshakeClosed: the peer sent close_notify before the handshake was over, or a
	// callback of the Config returned io.EOF. It is also io.ErrUnexpectedEOF.
	ErrHandshakeClosed = kernel.Sentinel("TLS ended before its handshake was over", io.ErrUnexpectedEOF)
	// ErrHandshakeTooLong: the peer sent more than Options.HandshakeBytes before the
	// handshake was over.
	ErrHandshakeTooLong = kernel.Sentinel("TLS handshake has too many bytes; see Options.HandshakeBytes")
	// ErrTruncated: the stream ended without close_notify, so data may be missing
	// (TLS-22). It is also io.ErrUnexpectedEOF.
	ErrTruncated = kernel.Sentinel("stream ended without close_notify: data may be missing", io.ErrUnexpectedEOF)
	// ErrPipelined: there was plaintext behind the command that starts TLS (TLS-38).
	ErrPipelined = kernel.Sentinel("plaintext pipelined behind the command that starts TLS")
	// ErrCloseTimeout: within Options.CloseTimeout the peer neither took what was to be
	// sent nor answered our close_notify (TLS-26).
	ErrCloseTimeout = kernel.Sentinel("peer did not end TLS in time", kernel.ErrTimeout)
	// ErrConfig: no connection can be made with this tls.Config (TLS-2).
	ErrConfig = kernel.Sentinel("unusable TLS configuration")
	// ErrCannotSwitch: neither the transport given to StartServer or StartClient nor one
	// below it is a reactor.Switcher.
	ErrCannotSwitch = kernel.Sentinel("transport cannot exchange its protocol")
)

// Error is why a connection ended, if TLS has to do with it. errors.As finds the errors
// of crypto/tls and crypto/x509 in it: [*tls.CertificateVerificationError],
// [tls.RecordHeaderError], and [tls.AlertError]. An alert that was received is in a
// net.OpError of "remote error"; most alerts that were sent are in one of "local error".
// Every Error is reactor.ErrLost. None is io.EOF or reactor.ErrClosed (TLS-22).
type Error struct {
	// Op is "handshake", "read", "write", "close" or "start".
	Op string
	// Local and Remote are the ends of the connection.
	Local, Remote kernel.Addr
	// Err is the cause. Its text is at most about 1 KiB long, because a peer may have chosen it.
	Err error
}

// Error is like "tls handshake with 192.0.2.1:443: remote error: tls: handshake failure".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("tls " + e.Op)
	if at := e.Remote.String(); at != "" {
		b.WriteString(" with " + at)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Timeout tells whether the cause is a timeout: ErrHandshakeTimeout, ErrCloseTimeout, or one of
// the network. An Error is a net.Error (DESC-44).
func (e *Error) Timeout() bool { return kernel.IsTimeout(e.Err) }

// Temporary tells whether another connection may succeed where this one has failed, as
// [kernel.IsTemporary] says. So it is for handshakes that were too many.
func (e *Error) Temporary() bool {
	return kernel.IsTemporary(e.Err) || errors.Is(e.Err, ErrHandshakesBusy)
}

// Is tells whether target is os.ErrDeadlineExceeded and the error a timeout.
func (e *Error) Is(target error) bool { return target == os.ErrDeadlineExceeded && e.Timeout() }

// Unwrap is the cause, the alert in it if there is one, and the classes.
func (e *Error) Unwrap() []error {
	all := []error{e.Err, reactor.ErrLost}
	if e.Op == "handshake" {
		all = append(all, ErrHandshake)
	}
	if a, ok := alertIn(e.Err); ok {
		all = append(all, a)
	}
	return all
}

// noEnd is an error that is io.EOF or reactor.ErrClosed, as a callback of a tls.Config may
// return one. As the cause of an Error it is neither, because these stand for clean ends.
type noEnd struct{ err error }

func (e noEnd) Error() string { return e.err.Error() }

// Is finds all but the clean ends.
func (e noEnd) Is(target error) bool {
	return target != io.EOF && target != reactor.ErrClosed && errors.Is(e.err, target)
}

// As finds what is in the error.
func (e noEnd) As(target any) bool { return errors.As(e.err, target) }

// maxText is how long the text of the cause of an Error may be, in bytes. crypto/tls quotes what the peer has sent, such as all the
// protocols that a client offers, and those who log the error have no limit of their own.
const maxText = 1 << 10

// shortened is an error with the beginning of its text alone.
type shortened struct {
	err  error
	text string
}

func (s shortened) Error() string { return s.text }
func (s shortened) Unwrap() error { return s.err }

// alertIn finds the alert in an error of crypto/tls. Its type there is not exported,
// and tls.AlertError is for QUIC alone.
func alertIn(err error) (tls.AlertError, bool) {
	var op *net.OpError
	if !errors.As(err, &op) || op.Err == nil {
		return 0, false
	}
	v := reflect.ValueOf(op.Err)
	if v.Kind() != reflect.Uint8 || v.Type().PkgPath() != "crypto/tls" {
		return 0, false
	}
	return tls.AlertError(v.Uint()), true
}

// wouldBlock is what wire answers to crypto/tls if there is no input now. It must be a
// net.Error that is Temporary itself, not by what it wraps: then crypto/tls keeps what
// it has read and continues with the next Read. It returns all other errors for good.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no input now" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

// errCut is ErrTruncated in a handshake. A health check that connects and goes makes one.
var errCut = kernel.Sentinel("the peer ended the connection before the TLS handshake was over", ErrTruncated)

// errGone ends the handshake of a connection that has ended.
var errGone = kernel.Sentinel("connection is gone")
