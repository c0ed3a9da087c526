package tlsio

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/kernel"
)

// step is the half of a handshake that computes: a coroutine around tls.Conn.Handshake,
// which stops where crypto/tls wants input that has not come. It belongs to one
// goroutine at a time, as handshake says, and it never looks at the Conn.
type step struct {
	cfg    *tls.Config
	client bool
	conn   *wire // for crypto/tls, whose Read and Write come back here
	tls    *tls.Conn
	ctx    context.Context // for callbacks of cfg

	in      input
	read    int    // bytes of input that crypto/tls was given
	maxRead int    // bytes of input it may be given
	cut     bool   // no more input will come
	clear   byte   // the last alert that came unprotected; 0: none, or close_notify
	out     []byte // to be sent when run returns
	done    bool   // the handshake has ended, with err
	err     error
	stack   *coro.Reused // nil before it has begun

	local, remote kernel.Addr // asked before, because the transport is the loop's
}

// begun tells whether run was called.
func (s *step) begun() bool { return s.stack != nil }

// run computes until input is wanted, or to the end.
func (s *step) run() {
	if s.tls == nil {
		if s.client {
			s.tls = tls.Client(s.conn, s.cfg)
		} else {
			s.tls = tls.Server(s.conn, s.cfg)
		}
		s.stack.Begin(s.body)
	}
	s.stack.Resume()
}

func (s *step) body() {
	s.err = s.inClear(s.tls.HandshakeContext(s.ctx))
	s.done = true
}

// badRecord is bad_record_mac, the alert that we send if a record cannot be decrypted.
const badRecord tls.AlertError = 20

// inClear returns what the peer has said, if err is that its last record could not be decrypted, and that was an alert in
// the clear. A client of OpenSSL that refuses the certificate of a server of TLS 1.3 sends such a one, before it uses its own key.
// crypto/tls takes it for a bad record. Anybody on the way can send it, but can break the handshake with any other bytes too.
func (s *step) inClear(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if a, is := alertIn(err); !ok || !is || a != badRecord || op.Op != "local error" || !s.in.alert() || s.clear == 0 {
		return err
	}
	said := &net.OpError{Op: "remote error", Err: tls.AlertError(s.clear)}
	return fmt.Errorf("%w (unprotected; %w)", said, err)
}

// readInput is Read of the net.Conn that crypto/tls has. It stops the coroutine until
// there is input, or none to come.
func (s *step) readInput(p []byte) (int, error) {
	for len(s.in.data) == 0 {
		if s.cut {
			return 0, errBareEOF
		}
		if !s.stack.Suspend() {
			return 0, errGone
		}
	}
	if s.read >= s.maxRead {
		return 0, ErrHandshakeTooLong
	}
	n := s.in.give(p)
	s.read += n
	if s.in.alert() {
		s.clear = p[n-1] // after the level
	}
	return n, nil
}

// unwind ends the coroutine, also after the handshake.
func (s *step) unwind() {
	s.stack.Unwind()
	s.forget()
}

// forget lets go of what a Conn that is kept, though it is lost, need not hold.
func (s *step) forget() {
	s.in, s.out, s.tls, s.ctx, s.stack = input{}, nil, nil, nil, nil
}
