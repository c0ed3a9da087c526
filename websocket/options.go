package websocket

import (
	"net/http"
	"time"
)

// Options configure a Server. Nil and the zero value are the defaults.
type Options struct {
	// Binary has Write send binary messages. Otherwise they are text, which must be UTF-8: browsers end a connection with other text.
	Binary bool
	// MaxMessage is how many bytes a message of the peer may have. A longer one ends the connection with code 1009 and ErrTooBig, as soon
	// as its length is known. Zero or negative: 64 KiB (NETCONN-17).
	MaxMessage int
	// MaxPartial is how many bytes of messages that have not come whole all connections of the server on one loop may hold together. The
	// connection that would exceed it ends with code 1013 and ErrTooBig. Messages that come whole in one read of the loop hold nothing. Zero or negative: 64 MiB (NETCONN-17).
	MaxPartial int
	// MessageTimeout is how long a message of the peer that comes in fragments may take, from the first to the last. Then the connection ends with code 1008 and
	// ErrUnfinished. Time in which the protocol above has paused does not count. Zero: 5 minutes; negative: no limit, and then such messages may hold MaxPartial for as long
	// as their peers answer pings.
	MessageTimeout time.Duration
	// MaxUnsent is how many bytes may be unsent when something more is written. Then the peer reads too slowly, and the connection is
	// aborted with ErrTooSlow. Zero or negative: 1 MiB (NETCONN-17).
	MaxUnsent int
	// Ping is how long a peer may be silent before it is sent a ping. A peer that sends no whole frame for as long again is given up: its
	// connection is aborted with ErrSilent. So a frame has to come whole within twice this time. Pings also keep middleboxes from forgetting the connection. Zero: 1 minute; negative: never, and
	// then nothing limits how long a peer is silent (NETCONN-18).
	Ping time.Duration
	// CloseTimeout is how long the peer has to answer our close frame. Then the connection ends without. Zero or negative: 5 s.
	CloseTimeout time.Duration
	// HeadTimeout is how long a peer has for its request, on a port of the Server's own; with net/http, that has limits. Zero or negative: 10 s.
	HeadTimeout time.Duration
	// Subprotocols are the application's protocols that the server speaks, best first. The first that the client offers is chosen, and
	// none if it offers none of them.
	Subprotocols []string
	// Check decides about a request, whose TLS is set over TLS. An error refuses it with status 403 and the text of the error, which the client can read. It is called on the goroutine of the
	// handler, or on the loop for a port of the Server's own. Nil: a request of a page of another site, by its header Origin, is refused. Otherwise pages of any
	// site could use the cookies of the browser that shows them.
	Check func(q *http.Request) error
}

const (
	defaultMaxMessage   = 64 << 10
	defaultMaxPartial   = 64 << 20
	defaultMaxUnsent    = 1 << 20
	defaultPing         = time.Minute
	defaultMessage      = 5 * time.Minute
	defaultCloseTimeout = 5 * time.Second
	defaultHeadTimeout  = 10 * time.Second
)

// complete copies o and fills in the defaults.
func (o *Options) complete() Options {
	var full Options
	if o != nil {
		full = *o
	}
	positive(&full.MaxMessage, defaultMaxMessage)
	positive(&full.MaxPartial, defaultMaxPartial)
	positive(&full.MaxUnsent, defaultMaxUnsent)
	positive(&full.CloseTimeout, defaultCloseTimeout)
	positive(&full.HeadTimeout, defaultHeadTimeout)
	if full.Ping == 0 {
		full.Ping = defaultPing
	}
	if full.MessageTimeout == 0 {
		full.MessageTimeout = defaultMessage
	}
	if full.Check == nil {
		full.Check = sameOrigin
	}
	return full
}

// positive sets *v to otherwise unless it is above 0.
func positive[T int | time.Duration](v *T, otherwise T) {
	if *v <= 0 {
		*v = otherwise
	}
}
