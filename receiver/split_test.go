package receiver_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/receiver"
)

var errOdd = errors.New("odd")

// stars finds frames that end with "*". A "!" is an error.
func stars(p []byte) (int, error) {
	i := bytes.IndexAny(p, "*!")
	if i >= 0 && p[i] == '!' {
		return 0, errOdd
	}
	return i + 1, nil
}

// STR-12: frames are what Find says. An error is told to Failed, or closes the connection without it,
// and nothing is delivered afterwards.
func TestSTR12Split(t *testing.T) {
	for _, c := range []struct {
		stream string
		want   error
	}{
		{"!", errOdd},
		{"xxxxx*", frame.ErrTooLong},
	} {
		everyChunk(t, func(t *testing.T, size int) {
			for _, handled := range []bool{false, true} {
				var got events
				s := &receiver.Split{Find: stars, MaxLength: 5, FrameReceived: got.take("frame")}
				if handled {
					s.Failed = func(err error) {
						if got.add("failed"); !errors.Is(err, c.want) {
							t.Errorf("STR-12: failed with %v, want %v", err, c.want)
						}
					}
				}
				w := dial(t, size, s)
				w.late = "e*"
				w.send("a*bcde**" + c.stream + "d*")
				if handled {
					w.send("f*")
					equal(t, got, "frame a*", "frame bcde*", "frame *", "failed")
					equal(t, w.log)
					continue
				}
				equal(t, got, "frame a*", "frame bcde*", "frame *")
				equal(t, w.log, "close")
			}
		})
	}
	dial(t, whole, &receiver.Split{Find: stars}).send("dropped*")
}

// STR-12: pausing, closing and Rest are those of the other receivers.
func TestSTR12PauseCloseRest(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		s := &receiver.Split{Find: stars}
		s.Made, s.Lost = func() { got.add("made") }, func(error) { got.add("lost") }
		s.FrameReceived = func(p []byte) {
			if got.add("%s", p); string(p) == "c*" {
				s.T.Close()
				return
			}
			s.PauseProducing()
		}
		w := dial(t, size, s)
		w.send("a*b*")
		equal(t, got, "made", "a*")
		s.ResumeProducing()
		w.pump()
		equal(t, got, "made", "a*", "b*")
		s.ResumeProducing()
		w.send("un")
		if rest := s.Rest(); string(rest) != "un" {
			t.Errorf("STR-12: the rest is %q", rest)
		}
		w.send("c*d*")
		equal(t, got, "made", "a*", "b*", "c*", "lost")
	})
}

// STR-12: frames that lie whole in a chunk cost no memory.
func TestSTR12Allocs(t *testing.T) {
	count := 0
	s := &receiver.Split{Find: stars, FrameReceived: func([]byte) { count++ }}
	(&wire{t: t, proto: s, bare: true}).connect(whole)
	p := []byte(strings.Repeat("abc*", 10))
	if got := testing.AllocsPerRun(100, func() { s.DataReceived(p) }); got != 0 || count != 10*101 {
		t.Errorf("STR-12: %v allocations, %d frames", got, count)
	}
}
