package frame_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/frame"
)

type cutter = func(stream string, feed func(chunk []byte))

func TestLines(t *testing.T) {
	long := strings.Repeat("x", 16384)
	for _, c := range []struct {
		name, delimiter, stream string
		max                     int
		want                    []string
	}{
		{"LINE-1 default delimiter", "", "a\nb\r\nc\rd\r\n", 0, []string{"a\nb", "c\rd"}},
		{"LINE-1 default length", "", long + "\r\n" + long + "x\r\n", 0, []string{long, "error: frame too long: limit is 16384 bytes"}},
		{"LINE-1 one byte", "\x00", "a\x00\r\n\x00", 0, []string{"a", "\r\n"}},
		{"LINE-1 long delimiter", "<end>", "a<end><en<end>b<end>", 0, []string{"a", "<en", "b"}},
		{"LINE-1 delimiter that repeats", "aab", "aaabaaab", 0, []string{"a", "a"}},
		{"LINE-2 empty lines", "", "\r\n\r\na\r\n\r\n", 0, []string{"", "", "a", ""}},
		{"LINE-2 unfinished", "", "abc\r\nabc", 0, []string{"abc"}},
		{"LINE-8 exactly", "", "12345\r\n12345\r\n", 5, []string{"12345", "12345"}},
		{"LINE-8 complete and too long", "", "1\r\n123456\r\n7\r\n", 5, []string{"1", "error: frame too long: limit is 5 bytes"}},
		{"LINE-8 unfinished and too long", "", "1\r\n1234567", 5, []string{"1", "error: frame too long: limit is 5 bytes"}},
		{"LINE-8 unfinished, one byte less", "", "1\r\n123456", 5, []string{"1"}},
		{"LINE-8 legal line and half a delimiter", "", "1\r\n12345\r", 5, []string{"1"}},
		{"LINE-8 long delimiter", "---", "123---1234---", 3, []string{"123", "error: frame too long: limit is 3 bytes"}},
		{"no limit", "", long + long + "\r\n", -1, []string{long + long}},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyChunk(t, func(t *testing.T, cut cutter) {
				d := frame.Lines{Delimiter: c.delimiter, MaxLength: c.max}
				var got []string
				cut(c.stream, func(p []byte) {
					if n := len(got); n == 0 || !strings.HasPrefix(got[n-1], "error") {
						got = append(got, drain(&d, p)...)
					}
				})
				equal(t, got, c.want)
			})
		})
	}
}

// LINE-1: the delimiter may change between lines. The new one may have another length.
func TestLINE1DelimiterChanges(t *testing.T) {
	everyChunk(t, func(t *testing.T, cut cutter) {
		var d frame.Lines
		var got []string
		cut("a\r\nb;c\r\n;d--e\r\n--", func(p []byte) {
			for f := range frame.All(&d, p) {
				got = append(got, string(f))
				d.Delimiter = []string{"", ";", ";", "--", "--", "x"}[len(got)]
			}
		})
		equal(t, got, []string{"a", "b", "c\r\n", "d", "e\r\n"})
	})
	t.Run("to one that has already come", func(t *testing.T) {
		var d frame.Lines
		equal(t, drain(&d, []byte("a;b")), nil)
		d.Delimiter = ";"
		equal(t, drain(&d, []byte("c;")), []string{"a", "bc"})
	})
}

// LINE-3, LINE-4: raw mode takes the rest of the chunk. Lines then begin with what was
// given back.
func TestLINE3LINE4RawAndBack(t *testing.T) {
	everyChunk(t, func(t *testing.T, cut cutter) {
		var d frame.Lines
		var got []string
		left := 0
		var body strings.Builder
		cut("RAW5\r\nab\r\nclast\r\nRAW2\r\n\r\nRAW1\r\n!\r\nend\r\n", func(p []byte) {
			for f := range frame.All(&d, p) {
				if !d.Raw() {
					got = append(got, string(f))
					if n, ok := bytes.CutPrefix(f, []byte("RAW")); ok {
						left = int(n[0] - '0')
						d.SetRaw()
					}
					continue
				}
				n := min(left, len(f))
				body.Write(f[:n])
				if left -= n; left == 0 {
					got = append(got, "raw:"+body.String())
					body.Reset()
					d.SetLines(f[n:])
				}
			}
		})
		equal(t, got, []string{"RAW5", "raw:ab\r\nc", "last", "RAW2", "raw:\r\n", "RAW1", "raw:!", "", "end"})
	})
}

// LINE-4: if extra is not the end of the last frame it is copied, and comes first.
func TestLINE4ForeignExtra(t *testing.T) {
	var d frame.Lines
	d.SetRaw()
	d.Feed([]byte("abc"))
	f, _, _ := d.Next()
	d.Feed([]byte("3\r\n")) // as from within a callback
	d.SetLines(append([]byte("1\r\n2"), f[2:]...))
	equal(t, drain(&d, []byte("4\r\n")), []string{"1", "2c3", "4"})
	d.SetRaw()
	equal(t, drain(&d, []byte("xy")), []string{"xy"})
	d.SetLines([]byte("5\r\n6"))
	equal(t, drain(&d, []byte("\r\n")), []string{"5", "6"})
}

// LINE-4: the end of the last frame is put back without copying only if that is safe. It
// is not once the chunk belongs to the caller again, nor if more was fed since.
func TestLINE4WhenToCopy(t *testing.T) {
	rawFrame := func(d *frame.Lines, p []byte) []byte {
		t.Helper()
		d.SetRaw()
		d.Feed(p)
		f, ok, err := d.Next()
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		return f
	}
	next := func(d *frame.Lines, want ...string) {
		t.Helper()
		equal(t, drain(d, nil), want)
	}
	var d frame.Lines
	p := []byte("x1\r\n")
	f := rawFrame(&d, p)
	d.Pause()
	d.SetLines(f[1:])
	copy(p, "####")
	d.Resume()
	next(&d, "1")

	p = []byte("x2\r\n")
	f = rawFrame(&d, p)
	next(&d)
	d.SetLines(f[1:])
	copy(p, "####")
	next(&d, "2")

	f = rawFrame(&d, []byte("x3\r\n"))
	d.Feed([]byte("4\r\n"))
	d.SetLines(f[1:])
	next(&d, "3", "4")

	d.Pause()
	f = nil
	d.Feed([]byte("x5\r\n"))
	d.Resume()
	d.SetRaw()
	f, _, _ = d.Next() // out of what was kept
	d.Feed([]byte("6\r\n"))
	d.SetLines(f[1:])
	next(&d, "5", "6")

	equal(t, drain(&d, []byte("abc")), nil)
	d.SetLines([]byte("7\r\n8"))
	next(&d, "7")
	equal(t, drain(&d, []byte("\r\n")), []string{"8abc"})
}

// LINE-5: Pause stops in the middle of a chunk, in raw mode too. What is kept comes
// before what is new. Pausing again inside works.
func TestLINE5Pause(t *testing.T) {
	for _, raw := range []bool{false, true} {
		everyChunk(t, func(t *testing.T, cut cutter) {
			var d frame.Lines
			var got []string
			take := func(p []byte) {
				for f := range frame.All(&d, p) {
					got = append(got, string(f))
					if string(f) == "raw" && raw {
						d.SetRaw()
					}
					d.Pause()
				}
			}
			cut("1\r\nraw\r\n3\r\n4\r\n", take)
			if len(got) != 1 || !d.Paused() {
				t.Fatalf("paused after one line, got %q", got)
			}
			for range 3 { // each resume delivers one, which pauses again
				d.Resume()
				take(nil)
			}
			want := []string{"1", "raw", "3", "4"}
			if raw {
				want = []string{"1", "raw", "3\r\n4\r\n"}
			}
			equal(t, got, want)
			d.Resume()
			d.SetLines(nil)
			take([]byte("new\r\n"))
			equal(t, got, append(want, "new"))
		})
	}
}

// LINE-6: after Stop nothing more is returned.
func TestLINE6Stop(t *testing.T) {
	everyChunk(t, func(t *testing.T, cut cutter) {
		var d frame.Lines
		var got []string
		cut("1\r\nquit\r\n2\r\n3", func(p []byte) {
			for f := range frame.All(&d, p) {
				got = append(got, string(f))
				if string(f) == "quit" {
					d.Stop()
				}
			}
		})
		d.Resume()
		d.SetLines([]byte("4\r\n"))
		equal(t, append(got, drain(&d, []byte("5\r\n"))...), []string{"1", "quit"})
		if d.Buffered() != 0 {
			t.Error("keeps something after Stop")
		}
	})
}

// LINE-7: Clear returns what was not delivered, and drops it.
func TestLINE7Clear(t *testing.T) {
	everyChunk(t, func(t *testing.T, cut cutter) {
		var d frame.Lines
		var got []string
		cut("1\r\n2\r\n3", func(p []byte) {
			for f := range frame.All(&d, p) {
				got = append(got, string(f))
				d.Pause()
			}
		})
		if rest := d.Clear(); string(rest) != "2\r\n3" || d.Buffered() != 0 {
			t.Fatalf("cleared %q, %d bytes left", rest, d.Buffered())
		}
		d.Resume()
		equal(t, append(got, drain(&d, []byte("4\r\n"))...), []string{"1", "4"})
	})
	t.Run("while paused", func(t *testing.T) {
		var d frame.Lines
		drain(&d, []byte("abcdef"))
		d.Pause()
		d.Clear()
		d.Feed([]byte("1\r\n2\r\n"))
		d.Resume()
		equal(t, drain(&d, nil), []string{"1", "2"})
	})
	t.Run("tail and chunk", func(t *testing.T) {
		var d frame.Lines
		drain(&d, []byte("ab"))
		d.Feed([]byte("cd"))
		if rest := d.Clear(); string(rest) != "abcd" {
			t.Fatalf("cleared %q", rest)
		}
		if rest := d.Clear(); rest != nil {
			t.Fatalf("cleared %q twice", rest)
		}
	})
}

// LINE-8: a delimiter that would end beyond the limit does not count, wherever the stream
// is cut.
func TestLINE8EveryCut(t *testing.T) {
	const stream = "1234---"
	for at := range len(stream) + 1 {
		d := frame.Lines{MaxLength: 3, Delimiter: "---"}
		got := drain(&d, []byte(stream[:at]))
		if len(got) == 0 {
			got = drain(&d, []byte(stream[at:]))
		}
		equal(t, got, []string{"error: frame too long: limit is 3 bytes"})
	}
}

// LINE-8: the error stays the same until the caller chooses how to go on.
func TestLINE8ErrorStays(t *testing.T) {
	d := frame.Lines{MaxLength: 3}
	drain(&d, []byte("12345"))
	for range 2 {
		_, ok, err := d.Next()
		e, is := errors.AsType[*frame.TooLongError](err)
		if ok || !is || e.Limit != 3 || e.Length >= 0 || !errors.Is(err, frame.ErrTooLong) {
			t.Fatalf("got %v, %v", ok, err)
		}
		d.Feed([]byte("dropped"))
	}
	if got := d.Clear(); string(got) != "12345" {
		t.Fatalf("rest is %q", got)
	}
}

// LINE-9: the caller gets all the rest. Decoding goes on with later data.
func TestLINE9Remainder(t *testing.T) {
	d := frame.Lines{MaxLength: 3}
	p := []byte("1\r\n1234\r\n5\r\n6")
	got := drain(&d, p)
	clear(p) // the caller's again
	equal(t, got, []string{"1", "error: frame too long: limit is 3 bytes"})
	if rest := d.Clear(); string(rest) != "1234\r\n5\r\n6" {
		t.Fatalf("remainder %q", rest)
	}
	equal(t, drain(&d, []byte("7\r\n8\r\n")), []string{"7", "8"})

	// LINE-10: Feed only queues while the error is being dealt with, too.
	d.Feed([]byte("12345\r\n"))
	if _, _, err := d.Next(); err == nil {
		t.Fatal("no error")
	}
	d.Clear()
	p = []byte("9\r\n")
	d.Feed(p)
	clear(p)
	equal(t, drain(&d, nil), []string{"9"})
}

// LINE-9 and X-7: skipping the line instead gives the same for every way of cutting the
// stream.
func TestLINE9Skip(t *testing.T) {
	everyChunk(t, func(t *testing.T, cut cutter) {
		d := frame.Lines{MaxLength: 3, Delimiter: "--"}
		var got []string
		cut("1--12345-6---2--"+strings.Repeat("x", 100)+"--3--", func(p []byte) {
			for more := true; more; p = nil {
				more = false
				for f, err := range frame.All(&d, p) {
					if err != nil {
						got = append(got, "long")
						d.Skip()
						more = true
						break
					}
					got = append(got, string(f))
				}
			}
			if d.Buffered() > 4 {
				t.Fatalf("keeps %d bytes of a line that is skipped", d.Buffered())
			}
		})
		equal(t, got, []string{"1", "long", "-2", "long", "3"})
	})
}

// LINE-10: Feed inside the loop over frames only queues, behind what was fed before. The
// frame stays as it is.
func TestLINE10Reentrant(t *testing.T) {
	everyChunk(t, func(t *testing.T, cut cutter) {
		var d frame.Lines
		var got []string
		var fed strings.Builder
		cut("a\r\nbb\r\nc\r\nd\r\n", func(p []byte) {
			fed.Write(p)
			for f := range frame.All(&d, p) {
				if string(f) == "bb" || string(f) == "5" || string(f) == "d" {
					if string(f) == "d" { // this one is no door either
						d.Pause()
						d.Resume()
					}
					for _, s := range []string{"5\r\n", "6\r\n7\r", "\n"} {
						lent := []byte(s)
						fed.Write(lent)
						d.Feed(lent)
						clear(lent)
					}
				}
				got = append(got, string(f))
				if len(got) == 30 {
					d.Stop() // each "5" brings another
				}
			}
		})
		want := strings.Split(fed.String(), "\r\n")
		equal(t, got, want[:min(30, len(want)-1)])
	})
}

// Leaving the iterator early keeps the rest.
func TestAllBreak(t *testing.T) {
	var d frame.Lines
	p := []byte("1\r\n2\r\n3")
	for range frame.All(&d, p) {
		break
	}
	copy(p, "#######")
	equal(t, drain(&d, []byte("4\r\n")), []string{"2", "34"})
}

func TestAppendLine(t *testing.T) {
	// LINE-11: line, then delimiter.
	got := frame.AppendLine([]byte(">"), []byte("a"), "")
	got = frame.AppendLine(got, []byte("b"), "--")
	if string(got) != ">a\r\nb--" {
		t.Errorf("got %q", got)
	}
}

func TestLinesAllocs(t *testing.T) {
	d := frame.Lines{}
	p := []byte(strings.Repeat("a line of some length\r\n", 50))
	allocs(t, func() {
		d.Feed(p)
		n := 0
		for {
			f, ok, err := d.Next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if &f[0] != &p[n*23] || cap(f) != len(f) { // a slice of the chunk, with no way beyond
				t.Fatal("copied, or open at its end")
			}
			n++
		}
		if n != 50 {
			t.Fatalf("%d lines", n)
		}
	})
	allocs(t, func() {
		for f, err := range frame.All(&d, p) {
			if err != nil || len(f) == 0 {
				t.Fatal(err)
			}
		}
	})
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\r\nRb\r\n\nc\r\n\r\r\n12345678\r\n"), "\r\n", 5, []byte{1, 2, 3})
	f.Add([]byte("aaabRaab"), "aab", 3, []byte{1})
	f.Add([]byte("R;x;;;--"), ";", 0, []byte{0, 7})
	f.Add([]byte("123456--1---"), "--", 2, []byte{2})
	f.Add([]byte("E\r\n\r\nE1\r\nabEEE\r\n"), "\r\n", 5, []byte{1, 3})
	f.Fuzz(func(t *testing.T, stream []byte, delimiter string, limit int, cuts []byte) {
		run := func(cut bool) (got []string) {
			d := frame.Lines{Delimiter: delimiter, MaxLength: limit}
			for i, rest := 0, stream; len(rest) > 0; i++ {
				n := len(rest)
				if cut && len(cuts) > 0 {
					n = min(n, 1+int(cuts[i%len(cuts)]))
				}
				p := slices.Clone(rest[:n])
				rest = rest[n:]
				d.Feed(p)
				got = linesEvents(&d, got)
				clear(p)
			}
			return got
		}
		equal(t, run(true), run(false))
	})
}

// linesEvents runs a small protocol over d. After a line that begins with R, one raw byte
// follows. A line that begins with D changes the delimiter. A line that is too long is
// skipped. Behind a line that begins with E, two bytes are one frame.
func linesEvents(d *frame.Lines, got []string) []string {
	for {
		f, ok, err := d.Next()
		switch {
		case err != nil:
			got = append(got, err.Error())
			d.Skip()
		case !ok:
			return got
		case len(got) > 0 && strings.HasPrefix(got[len(got)-1], "line E"):
			if len(f) != 2 {
				panic("LINE-14: a frame of other than two bytes")
			}
			got = append(got, "exactly "+string(f))
		case d.Raw():
			got = append(got, "raw "+string(f[:1]))
			d.SetLines(f[1:])
		default:
			got = append(got, "line "+string(f))
			switch {
			case bytes.HasPrefix(f, []byte("R")):
				d.SetRaw()
			case bytes.HasPrefix(f, []byte("E")):
				d.Exactly(2)
			case bytes.HasPrefix(f, []byte("D")):
				d.Delimiter = strings.ToUpper(d.Delimiter) + "D"
			}
		}
	}
}
