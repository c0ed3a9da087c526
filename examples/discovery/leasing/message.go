package leasing

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The kinds of message.
const (
	// Find asks a group for servers. A Server answers with Here; it says so by itself now and then too.
	Find = "find"
	// Here tells that Server can be asked at the address that the message comes from.
	Here = "here"
	// Ask wants a lease on Name, Renew wants to have it longer, and Release gives it back. The answer is Held,
	// Taken, or Freed.
	Ask     = "ask"
	Renew   = "renew"
	Release = "release"
	// Held grants the lease for Span, from the moment at which the client made the request.
	Held = "held"
	// Taken refuses it: somebody else has the name, for Span at most.
	Taken = "taken"
	// Freed tells that the client does not have the name.
	Freed = "freed"
)

// Message is one datagram. Fields that its Kind does not use are empty.
type Message struct {
	Kind   string
	Server string // the name of the server
	// Client makes the request, and Number counts its requests from 1. A request that is sent again has the same
	// number.
	Client string
	Number uint64
	Name   string
	Span   time.Duration // in whole milliseconds
}

// maxMessage is the length of the longest message, in bytes.
const maxMessage = 512

// String is the message as it is sent.
func (m *Message) String() string {
	return fmt.Sprintf("lease1 %s %s %s %d %s %d", m.Kind, word(m.Server), word(m.Client), m.Number, word(m.Name), m.Span.Milliseconds())
}

// word is s, or "-" if that is empty.
func word(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Parse reads a message. It returns false for what is none.
func Parse(p []byte) (m Message, ok bool) {
	f := strings.Fields(string(p[:min(len(p), maxMessage)]))
	if len(f) != 7 || f[0] != "lease1" || len(p) > maxMessage {
		return m, false
	}
	for i, s := range f {
		if s == "-" {
			f[i] = ""
		}
	}
	number, err := strconv.ParseUint(f[4], 10, 64)
	ms, also := strconv.ParseUint(f[6], 10, 31)
	m = Message{Kind: f[1], Server: f[2], Client: f[3], Number: number, Name: f[5], Span: time.Duration(ms) * time.Millisecond}
	return m, err == nil && also == nil && m.Kind != ""
}

// Plain tells whether s can be the name of a server, of a client or of what is leased: one word of at most 64 bytes.
func Plain(s string) bool {
	return s != "" && s != "-" && len(s) <= 64 && len(strings.Fields(s)) == 1 && strings.TrimSpace(s) == s
}
