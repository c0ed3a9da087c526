package handover

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// link is one end of the connection between two programs: framing, descriptors, the limit of time of each step, and the
// end. Above it is an offerer, a Taking or a Watching.
type link struct {
	reactor.Base
	r     *reactor.Reactor
	step  Step
	peer  int // the process of the other end; 0: not known
	limit reactor.DelayedCall
	err   error // why this end has ended it; nil: it has not
	gone  bool  // ConnectionLost was called
	user  user

	dec frame.Prefixed
	fds []int // that came and belong to no message yet, the first one first
	// most is how many may be there: one that takes none has 0.
	most int
}

// user is what a link is for.
type user interface {
	// made is called when the connection is there and the other process is one that may be. An error ends the link.
	made() error
	// handle is called with each message. It sets m.fd to -1 if it keeps the descriptor. An error ends the link.
	handle(m *message) error
	// ended is called last and once.
	ended(err error)
	// allowed tells whether the other process may be there.
	allowed(c kernel.Credentials) bool
}

// sameUser is the default of allowed: this user, or root.
func sameUser(c kernel.Credentials) bool { return c.UID == 0 || c.UID == os.Geteuid() }

func (l *link) init(r *reactor.Reactor, u user, maxLength, most int) {
	l.r, l.user, l.most, l.step = r, u, most, StepConnect
	l.dec.MaxLength = maxLength
	l.limit.Init(r, func() { l.fail(ErrTimeout) })
}

// ConnectionMade asks who the other process is. On a system that does not tell, the permissions of the socket's file
// are the only check.
func (l *link) ConnectionMade(t reactor.Transport) {
	l.Base.ConnectionMade(t)
	if l.err != nil { // it was ended before there was a connection
		t.Abort()
		return
	}
	s, ok := reactor.As[interface {
		Credentials() (kernel.Credentials, error)
	}](t)
	if ok {
		c, err := s.Credentials()
		if l.peer = c.PID; err == nil && !l.user.allowed(c) {
			err = fmt.Errorf("%w: user %d", ErrForeign, c.UID)
		}
		if err != nil && !errors.Is(err, kernel.ErrUnsupported) {
			l.err = err
			t.Abort()
			return
		}
	}
	if err := l.user.made(); err != nil {
		l.fail(err)
	}
}

// DescriptorReceived keeps a descriptor until its message comes.
func (l *link) DescriptorReceived(fd int) {
	if l.err != nil || len(l.fds) == l.most {
		_ = l.r.CloseDescriptor(fd)
		l.fail(broken("it sends too many descriptors"))
		return
	}
	l.fds = append(l.fds, fd)
}

// DescriptorsLost ends the link. What comes now would be taken for what was lost.
func (l *link) DescriptorsLost(int) {
	l.fail(broken("a descriptor was lost; this process has too many open"))
}

// DataReceived cuts the stream into messages.
func (l *link) DataReceived(p []byte) {
	for f, err := range frame.All(&l.dec, p) {
		if l.err != nil {
			return
		}
		if err == nil {
			err = l.message(f)
		} else {
			err = broken("%v", err)
		}
		if err != nil {
			l.fail(err)
		}
	}
}

// message decodes one and hands it on.
func (l *link) message(f []byte) error {
	m, err := decode(f)
	if err != nil {
		return err
	}
	if m.kind == msgRefuse {
		l.refused(&m)
		return nil
	}
	if m.kind.hasDescriptor() && l.most > 0 {
		if len(l.fds) == 0 {
			return broken("a descriptor is missing; this process may have too many open")
		}
		m.fd = l.fds[0]
		l.fds = l.fds[1:]
	}
	err = l.user.handle(&m)
	if m.fd >= 0 {
		_ = l.r.CloseDescriptor(m.fd)
	}
	return err
}

// refused ends the link because the other end has.
func (l *link) refused(m *message) {
	kind := ErrRefused
	switch m.role {
	case codeBusy:
		kind = ErrBusy
	case codeVersion:
		kind = ErrVersion
	}
	l.err = fmt.Errorf("%w: %s", kind, m.text)
	l.T.Close()
}

// within sets the step, and how long the other end may take until it is over. Zero: no limit.
func (l *link) within(s Step, d time.Duration) {
	l.step = s
	l.limit.Cancel()
	if d > 0 {
		l.limit.Reset(d)
	}
}

// send sends a message. After the end it does nothing.
func (l *link) send(m message) {
	if l.err == nil && !l.gone && l.T != nil {
		_, _ = l.T.Write(m.encode()) // an error is an end
	}
}

// sendWith sends a message with a descriptor, which stays the caller's.
func (l *link) sendWith(m message, fd int) error {
	s, ok := reactor.As[descriptorSender](l.T)
	if !ok {
		return kernel.ErrUnsupported
	}
	if l.err != nil || l.gone {
		return nil
	}
	if err := s.SendDescriptor(fd); err != nil {
		return err
	}
	l.send(m)
	return nil
}

// descriptorSender is a transport over which descriptors travel.
type descriptorSender interface{ SendDescriptor(fd int) error }

// fail ends the link, and tells the other end why. A second call does nothing.
func (l *link) fail(err error) {
	if l.err != nil || l.gone {
		return
	}
	code := uint8(codeOther)
	switch {
	case errors.Is(err, ErrBusy):
		code = codeBusy
	case errors.Is(err, ErrVersion):
		code = codeVersion
	case errors.Is(err, ErrTimeout):
		code = codeTimeout
	case errors.Is(err, ErrProtocol):
		code = codeBroken
	}
	l.limit.Cancel()
	l.send(message{kind: msgRefuse, role: code, text: err.Error()})
	if l.err = err; l.T != nil {
		l.T.Close()
	}
}

// finish ends the link in order. ended gets nil.
func (l *link) finish() {
	if l.err == nil && !l.gone {
		l.limit.Cancel()
		l.err = errFinished
		l.T.Close()
	}
}

var errFinished = errors.New("finished")

// ConnectionLost tells the user.
func (l *link) ConnectionLost(err error) {
	l.gone = true
	l.limit.Cancel()
	for _, fd := range l.fds {
		_ = l.r.CloseDescriptor(fd)
	}
	l.fds = nil
	switch {
	case l.err == errFinished:
		l.user.ended(nil)
		return
	case l.err != nil:
		err = l.err
	default:
		err = fmt.Errorf("%w: %w", ErrGone, err)
	}
	l.user.ended(&Error{Step: l.step, Peer: l.peer, Err: err})
}

// Drain does nothing: the connection ends by itself, when all others have.
func (l *link) Drain() {}

// fill replaces a zero limit by its default, and a negative one by none.
func fill(d *time.Duration, standard time.Duration) {
	if *d == 0 {
		*d = standard
	} else if *d < 0 {
		*d = 0
	}
}
