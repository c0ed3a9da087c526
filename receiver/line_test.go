package receiver_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// LINE-1: the defaults, another delimiter, one that changes between lines.
func TestLINE1Delimiter(t *testing.T) {
	long := strings.Repeat("x", 16384)
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := &receiver.Line{LineReceived: got.take("line")}
		w := dial(t, size, l)
		w.send("a\nb\r\n")
		w.send(long + "\r\n")
		equal(t, got, "line a\nb", "line "+long)
		equal(t, w.log)
		w.send(long + "y\r\n")
		equal(t, got, "line a\nb", "line "+long)
		equal(t, w.log, "close")
	})
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := &receiver.Line{Delimiter: "--"}
		l.LineReceived = func(p []byte) {
			got.add("%s", p)
			switch string(p) {
			case "a":
				l.Delimiter = "\x00"
			case "b":
				l.Delimiter = ""
			}
		}
		dial(t, size, l).send("a--b\x00c--\x00\r\nd\r\n")
		equal(t, got, "a", "b", "c--\x00", "d")
	})
}

// LINE-2: lines without their delimiter, empty ones too, wherever the stream is cut.
func TestLINE2Lines(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := &receiver.Line{LineReceived: got.take("line")}
		w := dial(t, size, l)
		w.send("one\r\n\r\n\r\ntwo\rthree\nfour\r\nunfinished\r")
		equal(t, got, "line one", "line ", "line ", "line two\rthree\nfour")
		w.send("\n")
		equal(t, got[4:], "line unfinished")
	})
}

// LINE-3, LINE-4: raw bytes from the middle of a chunk on, and back to lines.
func TestLINE3LINE4Raw(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		var body string
		l := new(receiver.Line)
		l.LineReceived = func(p []byte) {
			got.add("line %s", p)
			if string(p) == "DATA" {
				l.SetRawMode()
			}
		}
		l.RawReceived = func(p []byte) {
			if len(p) == 0 {
				t.Error("empty raw bytes")
			}
			n := min(len(p), 5-len(body))
			if body += string(p[:n]); len(body) == 5 {
				got.add("raw %s", body)
				body = ""
				l.SetLineMode(p[n:])
			}
		}
		dial(t, size, l).send("HELO\r\nDATA\r\n1\r\n3\rnext\r\nDATA\r\nabcde\r\nDATA\r\nfghijQUIT\r\n")
		equal(t, got, "line HELO", "line DATA", "raw 1\r\n3\r", "line next", "line DATA", "raw abcde",
			"line ", "line DATA", "raw fghij", "line QUIT")
	})
}

// LINE-4: alternating a hundred thousand times in one chunk does not recurse.
func TestLINE4NoRecursion(t *testing.T) {
	const n = 100_000
	l := new(receiver.Line)
	depth, deepest, lines := 0, 0, 0
	enter := func() func() {
		depth++
		deepest = max(deepest, depth)
		return func() { depth-- }
	}
	l.LineReceived = func([]byte) {
		defer enter()()
		lines++
		l.SetRawMode()
	}
	l.RawReceived = func(p []byte) {
		defer enter()()
		l.SetLineMode(p[1:])
	}
	dial(t, 1<<30, l).send(strings.Repeat("l\r\nr", n))
	if lines != n || deepest != 1 {
		t.Errorf("%d lines, want %d; %d deep, want 1", lines, n, deepest)
	}
}

// LINE-4: from outside of a callback, extra is delivered at once.
func TestLINE4FromOutside(t *testing.T) {
	var got events
	l := &receiver.Line{LineReceived: got.take("line"), RawReceived: got.take("raw")}
	w := dial(t, 7, l)
	l.SetRawMode()
	w.send("abc")
	l.SetLineMode([]byte("1\r\n2"))
	equal(t, got, "raw abc", "line 1")
	w.send("3\r\n")
	equal(t, got[2:], "line 23")
}

// LINE-5: pausing stops in the middle of a chunk and pauses the transport; resuming
// delivers what was kept, in raw mode too, before what is new; pausing again
// inside works.
func TestLINE5Pause(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := new(receiver.Line)
		l.LineReceived = func(p []byte) {
			got.add("line %s", p)
			if string(p) == "raw" {
				l.SetRawMode()
			}
			l.PauseProducing()
		}
		raw := 0
		l.RawReceived = func(p []byte) { raw += len(p) }
		w := dial(t, size, l)
		w.send("1\r\n2\r\nraw\r\nabc")
		for _, want := range []string{"line 1", "line 2", "line raw"} {
			equal(t, got[len(got)-1:], want)
			if !w.paused {
				t.Fatal("the transport is not paused")
			}
			w.send("d")
			equal(t, got[len(got)-1:], want)
			if raw != 0 {
				t.Fatal("raw bytes while paused")
			}
			l.ResumeProducing()
			w.pump()
		}
		equal(t, got, "line 1", "line 2", "line raw")
		if raw != len("abcddd") || w.paused {
			t.Errorf("%d raw bytes, paused %v", raw, w.paused)
		}
	})
	everyChunk(t, func(t *testing.T, size int) { // raw bytes are kept too
		var got events
		l := &receiver.Line{RawReceived: got.take("raw")}
		l.LineReceived = func(p []byte) {
			l.SetRawMode()
			l.PauseProducing()
		}
		w := dial(t, size, l)
		w.send("1\r\nabc")
		equal(t, got)
		l.ResumeProducing()
		w.pump()
		if all := strings.ReplaceAll(strings.Join(got, ""), "raw ", ""); all != "abc" {
			t.Errorf("raw bytes %q", all)
		}
	})
	t.Run("order", func(t *testing.T) { // what was kept first, then the transport
		var got events
		l := new(receiver.Line)
		l.LineReceived = func(p []byte) {
			if got.add("line %s", p); string(p) == "1" {
				l.PauseProducing()
			}
		}
		w := dial(t, 6, l)
		w.send("1\r\n2\r\n3\r\n")
		equal(t, got, "line 1")
		l.ResumeProducing()
		w.pump()
		equal(t, got, "line 1", "line 2", "line 3")
		equal(t, w.log, "pause", "resume")
	})
	t.Run("at once", func(t *testing.T) { // both inside one callback
		var got events
		l := new(receiver.Line)
		l.LineReceived = func(p []byte) {
			got.add("line %s", p)
			l.PauseProducing()
			l.ResumeProducing()
		}
		dial(t, 1<<30, l).send("1\r\n2\r\n")
		equal(t, got, "line 1", "line 2")
	})
	t.Run("transport without pause", func(t *testing.T) {
		var got events
		l := &receiver.Line{LineReceived: got.take("line")}
		l.ConnectionMade(bare{dial(t, whole, new(receiver.Line))})
		l.T.PauseProducing()
		l.DataReceived([]byte("1\r\n"))
		equal(t, got)
		l.ResumeProducing()
		equal(t, got, "line 1")
	})
}

// LINE-6, LINE-13: after closing in LineReceived no more lines come, and the rest
// of the chunk is dropped; aborting is the same, and so is closing while paused.
func TestLINE6LINE13Close(t *testing.T) {
	for name, end := range map[string]func(*receiver.Line){
		"close": func(l *receiver.Line) { l.T.Close() },
		"abort": func(l *receiver.Line) { l.T.Abort() },
		"stop":  func(l *receiver.Line) { l.StopProducing() },
	} {
		t.Run(name, func(t *testing.T) {
			everyChunk(t, func(t *testing.T, size int) {
				var got events
				l := new(receiver.Line)
				l.LineReceived = func(p []byte) {
					if got.add("line %s", p); string(p) == "QUIT" {
						end(l)
					}
				}
				w := dial(t, size, l)
				w.late = "4\r\n"
				w.send("1\r\nQUIT\r\n2\r\n3\r\n")
				l.DataReceived([]byte("4\r\n"))
				l.SetLineMode([]byte("5\r\n"))
				equal(t, got, "line 1", "line QUIT")
				if len(w.log) != 1 {
					t.Errorf("transport saw %q", w.log)
				}
				if rest := l.ClearLineBuffer(); len(rest) != 0 {
					t.Errorf("keeps %q", rest)
				}
			})
			t.Run("while paused", func(t *testing.T) {
				var got events
				l := new(receiver.Line)
				l.LineReceived = func(p []byte) { got.add("line %s", p); l.PauseProducing() }
				dial(t, 1<<30, l).send("1\r\n2\r\n")
				end(l)
				l.ResumeProducing()
				equal(t, got, "line 1")
			})
		})
	}
}

// LINE-7: ClearLineBuffer returns and drops what was not delivered.
func TestLINE7Clear(t *testing.T) {
	var got events
	l := new(receiver.Line)
	l.LineReceived = func(p []byte) {
		if got.add("line %s", p); string(p) == "1" {
			got.add("rest %s", l.ClearLineBuffer())
		}
	}
	w := dial(t, 1<<30, l)
	w.send("1\r\n2\r\n3")
	w.send("4\r\n5")
	equal(t, got, "line 1", "rest 2\r\n3", "line 4")
	everyChunk(t, func(t *testing.T, size int) {
		l := new(receiver.Line)
		w := dial(t, size, l)
		w.send("0\r\n123\r")
		if rest := l.ClearLineBuffer(); string(rest) != "123\r" {
			t.Errorf("rest %q", rest)
		}
	})
}

// LINE-8: what is too long, and what is not, for every chunking. LINE-12: so it is
// for lines only; a line of MaxLength with half its delimiter is fine there too.
func TestLINE8LINE12Limits(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		want         []string
	}{
		{"exactly", "12345\r\n", []string{"line 12345"}},
		{"complete", "1\r\n123456\r\n", []string{"line 1", "exceeded"}},
		{"unfinished", "1\r\n1234567", []string{"line 1", "exceeded"}},
		{"unfinished, one less", "1\r\n123456", []string{"line 1"}},
		{"exactly, and half a delimiter", "12345\r", nil},
		{"exactly, twice", "12345\r\n12345\r\n", []string{"line 12345", "line 12345"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyChunk(t, func(t *testing.T, size int) {
				var got events
				l := &receiver.Line{MaxLength: 5, LineReceived: got.take("line")}
				l.LineLengthExceeded = func([]byte) {
					got.add("exceeded")
					l.T.Close()
				}
				dial(t, size, l).send(c.stream)
				equal(t, got, c.want...)
			})
		})
	}
}

// LINE-9: the handler gets the whole remainder; by default the connection closes;
// a handler that keeps it has later data parsed.
func TestLINE9Exceeded(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := &receiver.Line{MaxLength: 3, LineReceived: got.take("line")}
		w := dial(t, size, l)
		w.send("1\r\n12345\r\n2\r\n")
		equal(t, got, "line 1")
		equal(t, w.log, "close")
	})
	var got events
	l := &receiver.Line{MaxLength: 3, LineReceived: got.take("line"), LineLengthExceeded: got.take("rest")}
	w := dial(t, 1<<30, l)
	w.send("1\r\n12345\r\n2\r\n3")
	w.send("4\r\n")
	equal(t, got, "line 1", "rest 12345\r\n2\r\n3", "line 4")
	equal(t, w.log)
}

// LINE-9, LINE-12: SkipLine drops that line alone, the same for every chunking.
func TestLINE9SkipLine(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := &receiver.Line{MaxLength: 3, LineReceived: got.take("line")}
		l.LineLengthExceeded = func(rest []byte) {
			got.add("long")
			l.SkipLine(rest)
		}
		dial(t, size, l).send("1\r\n12345\r6\n\r\n2\r\n1234\r\n" + strings.Repeat("x", 50) + "\r\n3\r\n")
		equal(t, got, "line 1", "long", "line 2", "long", "long", "line 3")
	})
}

// LINE-10: DataReceived from within a callback only queues.
func TestLINE10Reentrant(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := new(receiver.Line)
		inside := false
		l.LineReceived = func(p []byte) {
			if inside {
				t.Error("called inside itself")
			}
			inside = true
			if string(p) == "2" {
				lent := []byte("3\r\n4\r\n")
				l.DataReceived(lent)
				clear(lent)
			}
			got.add("line %s", p) // p is as it was
			inside = false
		}
		w := dial(t, size, l)
		w.send("1\r\n2\r\n")
		w.send("5\r\n")
		equal(t, got, "line 1", "line 2", "line 3", "line 4", "line 5")
	})
}

// LINE-11: SendLine writes the line, then the delimiter.
func TestLINE11SendLine(t *testing.T) {
	l := new(receiver.Line)
	w := dial(t, 1, l)
	send := func(s string) {
		if err := l.SendLine([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	send("a")
	l.Delimiter = "--"
	send("b")
	l.Delimiter = ""
	send("c")
	equal(t, w.wrote, "a", "\r\n", "b", "--", "c", "\r\n")
	l.T.Close()
	if err := l.SendLine([]byte("d")); !errors.Is(err, reactor.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// LINE-12: lines alone, nothing else set: they come, and one that is too long closes.
func TestLINE12LineOnly(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		w := dial(t, size, &receiver.Line{LineReceived: got.take("line"), MaxLength: 4})
		w.send("1\r\n1234\r\n")
		w.send("12345")
		equal(t, w.log) // no delimiter's length beyond the limit yet
		w.send("6")
		equal(t, got, "line 1", "line 1234")
		equal(t, w.log, "close")
	})
}

// Made comes with T, Lost last; after it nothing is delivered.
func TestMadeLost(t *testing.T) {
	var got events
	l := &receiver.Line{LineReceived: got.take("line"), Lost: func(err error) { got.add("lost %v", err) }}
	l.Made = func() {
		got.add("made")
		fmt.Fprint(l.T, "hello")
		l.T.PauseProducing()
	}
	w := dial(t, 1<<30, l)
	l.DataReceived([]byte("kept\r\n"))
	w.lose(io.EOF)
	l.ResumeProducing()
	w.pump()
	equal(t, got, "made", "lost EOF")
	equal(t, w.wrote, "hello")
	if p, ok := reactor.As[*wire](l.T); !ok || p != w {
		t.Error("the transport is not found in T")
	}
	if as, ok := reactor.As[reactor.Producer](l.T); !ok || as != reactor.Producer(l.T) {
		t.Error("the read side of T is not that of the receiver")
	}
	none := new(receiver.Line) // nothing set
	w = dial(t, 3, none)
	w.send("1\r\n2\r\n")
	none.SetRawMode()
	w.send("abc")
	w.peer.Close()
	w.pump()
}

// Every receiver calls Made and Lost, and delivers nothing after the loss.
func TestLostEach(t *testing.T) {
	var got events
	made, lost, take := func() { got.add("made") }, func(err error) { got.add("lost %v", err) }, got.take("late")
	for _, c := range []struct {
		p    reactor.Protocol
		late string
	}{
		{&receiver.Line{LineReceived: take, Made: made, Lost: lost}, "x\r\n"},
		{&receiver.Netstring{StringReceived: take, Made: made, Lost: lost}, "1:x,"},
		{&receiver.Prefixed{Width: 1, StringReceived: take, Made: made, Lost: lost}, "\x01x"},
		{&receiver.Stateful{First: receiver.Step{Size: 1, Received: func(p []byte) receiver.Step {
			take(p)
			return receiver.Step{}
		}}, Made: made, Lost: lost}, "x"},
	} {
		got = nil
		w := dial(t, 1, c.p)
		w.peer.Close()
		w.pump()
		c.p.DataReceived([]byte(c.late))
		equal(t, got, "made", "lost EOF")
	}
}

// A panic in a callback passes through, and does not leave the receiver stuck.
func TestPanicPasses(t *testing.T) {
	var got events
	l := new(receiver.Line)
	l.LineReceived = func(p []byte) {
		if got.add("line %s", p); len(got) == 1 {
			panic("oops")
		}
	}
	func() {
		defer func() {
			if recover() != "oops" {
				t.Error("no panic")
			}
		}()
		dial(t, 1<<30, l)
		lent := []byte("1\r\n2\r\n")
		defer clear(lent)
		l.DataReceived(lent)
	}()
	l.DataReceived([]byte("3\r\n"))
	equal(t, got, "line 1", "line 2", "line 3")
}

func TestAllocs(t *testing.T) {
	count := 0
	take := func([]byte) { count++ }
	l := &receiver.Line{LineReceived: take}
	n := &receiver.Netstring{StringReceived: take}
	x := &receiver.Prefixed{StringReceived: take}
	raw := new(receiver.Line) // LINE-15: a rest that is given back is not copied
	raw.LineReceived = func([]byte) { count++; raw.SetRawMode() }
	raw.RawReceived = func(p []byte) { raw.SetLineMode(p[1:]) }
	for _, p := range []reactor.Protocol{l, n, x, raw} {
		(&wire{t: t, proto: p, bare: true}).connect(whole)
	}
	lines, strs, prefixed := []byte("one\r\ntwo\r\n"), []byte("3:one,3:two,"), []byte("\x00\x00\x00\x03one\x00\x00\x00\x00")
	raws := []byte(strings.Repeat("l\r\nr", 2))
	for name, f := range map[string]func(){
		"lines":            func() { l.DataReceived(lines) },
		"netstrings":       func() { n.DataReceived(strs) },
		"prefixed":         func() { x.DataReceived(prefixed) },
		"raw and back":     func() { raw.DataReceived(raws) },
		"send line":        func() { l.SendLine(lines) },
		"send netstring":   func() { n.SendString(lines) },
		"send prefixed":    func() { x.SendString(lines) },
		"pause and resume": func() { l.PauseProducing(); l.ResumeProducing() },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s: %v allocations, want 0", name, got)
		}
	}
	if count != 4*2*101 {
		t.Errorf("%d lines and strings came", count)
	}
}
