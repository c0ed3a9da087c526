package lease

import (
	"testing"
	"time"
)

// A line says all that a message does, whatever the text of an entry.
func TestMessage(t *testing.T) {
	for _, m := range []Message{
		{Kind: "vote", From: 1, Term: 2, Index: 3, LogTerm: 4},
		{Kind: "append", From: 3, Term: 9, Index: 3, LogTerm: 4, Commit: 5, Sent: time.Minute, Entry: &Entry{9, ""}},
		{Kind: "append", From: 3, Term: 9, Entry: &Entry{9, "two  words, and 1 number "}},
	} {
		got, ok := parse(m.String())
		if !ok || (got.Entry == nil) != (m.Entry == nil) || got.Entry != nil && *got.Entry != *m.Entry {
			t.Errorf("%v became %v, %v", m, got, ok)
		}
		if got.Entry = m.Entry; got != m {
			t.Errorf("%v became %v", m, got)
		}
	}
}

// What is no message is a client's.
func TestNoMessage(t *testing.T) {
	for _, line := range []string{"", "len", "add hello", "add 1 2 3", "vote 1 2 3 4 5 x", "vote 1 2 3 4 5 6 7", "vote 1 2 3 4 5 6 7x 8"} {
		if m, ok := parse(line); ok {
			t.Errorf("%q is %v", line, m)
		}
	}
}
