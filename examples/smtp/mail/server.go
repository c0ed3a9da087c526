// Package mail receives mail by SMTP (RFC 5321), with STARTTLS and PIPELINING.
package mail

import (
	"crypto/tls"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Server is the factory of sessions. Its fields are set before the first one.
type Server struct {
	// Name is the name of the host, for greetings.
	Name string
	// Deliver takes a message. It is called on a goroutine of the pool, several at a time, and
	// may block. The client hears of an error that there was one, and not which. Deliver must
	// not be nil.
	Deliver func(Message) error
	// TLS is the configuration for STARTTLS. Nil: there is none.
	TLS *tls.Config
	// MaxMessage is the most bytes of a message, and MaxRecipients the most of its recipients.
	// Zero: 10 MiB and 100.
	MaxMessage, MaxRecipients int
	// CommandTime is how long a client may take for a command, and DataTime for a whole message.
	// Zero: 5 and 10 minutes.
	CommandTime, DataTime time.Duration
}

// Message is what a client has sent. It belongs to Deliver.
type Message struct {
	Peer kernel.Addr
	Helo string
	TLS  bool // it came over TLS
	From string
	To   []string
	Data []byte // lines with CRLF, without the stuffed dots
}

// BuildProtocol makes a session.
func (s *Server) BuildProtocol(kernel.Addr) reactor.Protocol {
	x := &session{server: s}
	x.LineReceived = x.command
	x.LineLengthExceeded = x.tooLong
	return x
}

func or[T comparable](v, fallback T) T {
	if v == *new(T) {
		return fallback
	}
	return v
}
