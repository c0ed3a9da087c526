package receiver_test

import (
	"testing"

	"github.com/whorl-go/whorl/receiver"
)

// LINE-3: raw mode that is set between two callbacks takes what has arrived, at once.
func TestSetRawModeBetweenCallbacks(t *testing.T) {
	var got events
	l := &receiver.Line{LineReceived: got.take("line"), RawReceived: got.take("raw")}
	w := dial(t, whole, l)
	w.send("a\r\nb")
	equal(t, got, "line a")
	l.SetRawMode()
	equal(t, got, "line a", "raw b")
}

// LINE-9: a line that is skipped later, between two callbacks, lets those behind it come at
// once.
func TestSkipLineBetweenCallbacks(t *testing.T) {
	var got events
	var rest []byte
	l := &receiver.Line{MaxLength: 2, LineReceived: got.take("line")}
	l.LineLengthExceeded = func(p []byte) { rest = append(rest, p...) }
	w := dial(t, whole, l)
	w.send("long\r\nb\r\n")
	equal(t, got)
	l.SkipLine(rest)
	equal(t, got, "line b")
	equal(t, w.log)
}
