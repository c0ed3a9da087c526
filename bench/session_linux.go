package main

import (
	"crypto/tls"
	"errors"
	"io"
	"iter"
	"net"
	"time"
)

// session is the client side of TLS on a conn. No goroutine waits in it: the handshake is
// a coroutine that yields when input is missing.
type session struct {
	c       *conn
	tls     *tls.Conn
	out     []byte // records that the socket has not taken
	corked  bool   // flush sends nothing yet, because c is not connected
	offered bool   // the client offered to resume a session

	next  func() (struct{}, bool)
	halt  func()
	yield func(struct{}) bool // set while the handshake runs
	done  bool                // the handshake has ended with err
	err   error
}

var errNotResumed = errors.New("did not resume a session that it gave a ticket for")

// maxSealed is the most plaintext that one write turns into records, in bytes.
const maxSealed = 64 << 10

func newSession(c *conn, cfg *tls.Config) *session {
	s := &session{c: c}
	if k, ok := cfg.ClientSessionCache.(*ticket); ok {
		s.offered = k.last != nil
	}
	s.tls = tls.Client((*wire)(s), cfg)
	return s
}

// clientTLS returns the configuration of all connections of a load. The server must prove
// that it has the key of its certificate. The client does not verify the certificate,
// because that costs only the client.
func clientTLS(resume bool) *tls.Config {
	cfg := &tls.Config{
		InsecureSkipVerify: true, ServerName: "bench", MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519},
	}
	if resume {
		cfg.ClientSessionCache = new(ticket)
	}
	return cfg
}

// ticket keeps the last session. There is only one server.
type ticket struct{ last *tls.ClientSessionState }

func (k *ticket) Get(string) (*tls.ClientSessionState, bool)  { return k.last, k.last != nil }
func (k *ticket) Put(_ string, state *tls.ClientSessionState) { k.last = state }

// handshake continues the handshake. It returns errAgain while that is not over.
func (s *session) handshake() error {
	if s.done {
		return s.err
	}
	if s.next == nil {
		s.next, s.halt = iter.Pull(s.runHandshake)
	}
	s.next()
	if err := s.flush(); err != nil {
		return err
	}
	switch {
	case !s.done:
		return errAgain
	case s.err == nil && s.offered && !s.tls.ConnectionState().DidResume:
		s.err = errNotResumed
	}
	return s.err
}

func (s *session) runHandshake(yield func(struct{}) bool) {
	s.yield = yield
	s.err = s.tls.Handshake()
	s.yield, s.done = nil, true
}

// read implements conn.read.
func (s *session) read(p []byte) (int, error) {
	if err := s.handshake(); err != nil {
		return 0, err
	}
	n, err := s.tls.Read(p)
	switch {
	case n > 0:
		return n, nil
	case err == wouldBlock{}:
		return 0, errAgain
	case err == io.EOF:
		return 0, errEnded
	}
	return 0, err
}

// write implements conn.write.
func (s *session) write(p []byte) (int, error) {
	if err := s.handshake(); err != nil {
		return 0, err
	}
	if err := s.flush(); err != nil {
		return 0, err
	}
	if len(s.out) > 0 {
		return 0, errAgain
	}
	n, err := s.tls.Write(p[:min(len(p), maxSealed)])
	if err != nil {
		return 0, err
	}
	return n, s.flush()
}

// flush sends as much as the socket takes. If something is left, that is no error.
func (s *session) flush() error {
	if s.corked {
		return nil
	}
	sent := 0
	for sent < len(s.out) {
		n, err := s.c.transmit(s.out[sent:])
		if err == errAgain {
			break
		}
		if err != nil {
			return err
		}
		sent += n
	}
	s.out = s.out[:copy(s.out, s.out[sent:])]
	return nil
}

// end sends close_notify, as far as the socket takes it.
func (s *session) end() {
	if !s.done {
		if s.halt != nil {
			s.halt()
		}
		return
	}
	if s.tls.CloseWrite() == nil {
		_ = s.flush()
	}
}

// wire is a session as the net.Conn that crypto/tls uses.
type wire session

// Read yields during the handshake if there is no input. Later it returns wouldBlock.
func (w *wire) Read(p []byte) (int, error) {
	for {
		n, err := 0, errAgain
		if !w.corked {
			n, err = w.c.receive(p)
		}
		switch {
		case err != errAgain:
			return n, err
		case w.yield == nil:
			return 0, wouldBlock{}
		case !w.yield(struct{}{}):
			return 0, errEnded
		}
	}
}

// Write takes everything, because crypto/tls cannot go on after a failed Write.
func (w *wire) Write(p []byte) (int, error) {
	w.out = append(w.out, p...)
	return len(p), nil
}

func (w *wire) Close() error                     { return nil }
func (w *wire) LocalAddr() net.Addr              { return nil }
func (w *wire) RemoteAddr() net.Addr             { return nil }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// wouldBlock is a temporary net.Error. After it crypto/tls can go on.
type wouldBlock struct{}

func (wouldBlock) Error() string   { return "no input now" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }
