package frame_test

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/frame"
)

// feedAll returns the frames of d for a stream, and the error it ends with. After an
// error there must be no more frames.
func feedAll(t *testing.T, d frame.Decoder, cut cutter, stream string) (got []string, failed error) {
	t.Helper()
	cut(stream, func(p []byte) {
		for f, err := range frame.All(d, p) {
			if err != nil {
				if failed != nil && failed != err {
					t.Fatalf("error changed from %v to %v", failed, err)
				}
				failed = err
				break
			}
			if failed != nil {
				t.Fatalf("frame %q after %v", f, failed)
			}
			got = append(got, string(f))
		}
	})
	return got, failed
}

func TestNetstrings(t *testing.T) {
	long := strings.Repeat("x", 99999)
	nested := string(frame.AppendNetstring(nil, []byte("3:abc,")))
	everyChunk(t, func(t *testing.T, cut cutter) {
		for _, c := range []struct {
			name, stream string
			max          int
			want         []string
		}{
			{"STR-1 plain", "5:hello,3:a,b,1:c,", 0, []string{"hello", "a,b", "c"}},
			{"STR-1 empty", "0:,0:,1:x,", 0, []string{"", "", "x"}},
			{"STR-1 nested", nested, 0, []string{"3:abc,"}},
			{"STR-1 unfinished", "1:x,10:abc", 0, []string{"x"}},
			{"STR-1 default length", "99999:" + long + ",", 0, []string{long}},
			{"STR-1 length of its own", "3:abc,", 3, []string{"abc"}},
			{"no limit", "100001:xx" + long + ",", -1, []string{"xx" + long}},
		} {
			t.Run(c.name, func(t *testing.T) {
				d := frame.Netstrings{MaxLength: c.max}
				got, err := feedAll(t, &d, cut, c.stream)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, got, c.want)
			})
		}
	})
}

// STR-2: each error comes at the first byte that shows it. Nothing comes after it.
func TestSTR2Errors(t *testing.T) {
	everyChunk(t, func(t *testing.T, cut cutter) {
		for _, c := range []struct {
			name, stream string
			at           int64 // offset of the wrong byte, negative for too long
			want         string
			length       int64
		}{
			{"leading zero", "1:x,01:y,", 5, "':'", 0},
			{"two zeros", "1:x,00:,", 5, "':'", 0},
			{"leading space", "1:x, 1:y,", 4, "digit", 0},
			{"no digit", "1:x,:y,", 4, "digit", 0},
			{"letter", "1:x,1a:y,", 5, "digit or ':'", 0},
			{"sign", "1:x,-1:y,", 4, "digit", 0},
			{"missing colon", "1:x,1,", 5, "digit or ':'", 0},
			{"missing comma", "1:x,1:yz1:a,", 7, "','", 0},
			{"too large", "1:x,51:", -1, "", 51},
			{"too large from the first digits", "1:x,51", -1, "", 51},
			{"too long a prefix", "1:x,100", -1, "", 100},
		} {
			t.Run(c.name, func(t *testing.T) {
				d := frame.Netstrings{MaxLength: 50}
				got, err := feedAll(t, &d, cut, c.stream+"1:z,")
				equal(t, got, []string{"x"})
				if c.at < 0 {
					e, ok := errors.AsType[*frame.TooLongError](err)
					if !ok || e.Limit != 50 || e.Length != c.length || !errors.Is(err, frame.ErrTooLong) {
						t.Fatalf("got %v", err)
					}
					return
				}
				e, ok := errors.AsType[*frame.SyntaxError](err)
				if !ok || e.Offset != c.at || e.Want != c.want || e.Got != c.stream[c.at] || !errors.Is(err, frame.ErrSyntax) {
					t.Fatalf("got %v", err)
				}
			})
		}
	})
	// Early: the digits alone are enough, before anything follows them.
	d := frame.Netstrings{MaxLength: 50}
	equal(t, drain(&d, []byte("5")), nil)
	equal(t, drain(&d, []byte("1")), []string{"error: frame too long: 51 bytes, limit is 50"})
	if d.Feed([]byte("1:z,")); d.Buffered() != 0 {
		t.Error("keeps bytes after the error")
	}
	d = frame.Netstrings{}
	d.Feed([]byte("x and the rest of a chunk"))
	if _, _, err := d.Next(); err == nil || d.Buffered() != 0 {
		t.Errorf("error %v, keeps %d bytes", err, d.Buffered())
	}
	// No length overflows.
	d = frame.Netstrings{MaxLength: -1}
	equal(t, drain(&d, []byte("99999999999999999999999:")), []string{"error: frame too long: 9999999999 bytes, limit is 2147483647"})
	e := &frame.SyntaxError{Offset: 7, Want: "','", Got: 'z'}
	if got := e.Error(); got != "byte 7 is 'z', expected ','" {
		t.Errorf("text is %q", got)
	}
}

func TestPrefixed(t *testing.T) {
	long := strings.Repeat("x", 99999)
	everyChunk(t, func(t *testing.T, cut cutter) {
		for _, c := range []struct {
			name, stream string
			width        frame.Width
			max          int
			want         []string
			length       int64 // of the error, or 0
		}{
			{"STR-3 8", "\x03abc\x00\x01d\x05ef", frame.Width8, 0, []string{"abc", "", "d"}, 0},
			{"STR-3 16", "\x00\x03abc\x00\x00\x00\x01d\x01", frame.Width16, 0, []string{"abc", "", "d"}, 0},
			{"STR-3 32", "\x00\x00\x00\x03abc\x00\x00\x00\x00\x00\x00\x00\x01d\x00\x00", frame.Width32, 0, []string{"abc", "", "d"}, 0},
			{"STR-3 32 by default", "\x00\x00\x00\x03abc", 0, 0, []string{"abc"}, 0},
			{"STR-3 big-endian", "\x01\x02" + long[:258], frame.Width16, 0, []string{long[:258]}, 0},
			{"STR-4 default length", "\x00\x01\x86\x9f" + long + "\x00\x01\x86\xa0", 0, 0, []string{long}, 100000},
			{"STR-4", "\x05abcde\x06abcdef\x01a", frame.Width8, 5, []string{"abcde"}, 6},
			{"STR-4 at once", "\xff\xff\xff\xff", 0, -1, nil, math.MaxUint32},
		} {
			t.Run(c.name, func(t *testing.T) {
				d := frame.Prefixed{Width: c.width, MaxLength: c.max}
				got, err := feedAll(t, &d, cut, c.stream)
				equal(t, got, c.want)
				e, ok := errors.AsType[*frame.TooLongError](err)
				if ok != (c.length != 0) || ok && e.Length != c.length {
					t.Fatalf("error %v, want length %d", err, c.length)
				}
			})
		}
	})
}

// STR-5: a length that does not fit into the prefix is refused.
func TestSTR5Encoders(t *testing.T) {
	for _, c := range []struct {
		width frame.Width
		max   int64
	}{{frame.Width8, 255}, {frame.Width16, 65535}, {frame.Width32, math.MaxUint32}, {0, math.MaxUint32}} {
		if got := c.width.Max(); got != c.max {
			t.Errorf("%d bytes say at most %d, want %d", c.width, got, c.max)
		}
		if c.max < math.MaxInt { // else no int is too long
			if _, err := frame.AppendPrefix(nil, c.width, int(c.max)); err != nil {
				t.Errorf("%d: %v", c.max, err)
			}
			dst, err := frame.AppendPrefix([]byte("kept"), c.width, int(c.max+1))
			e, ok := errors.AsType[*frame.TooLongError](err)
			if !ok || string(dst) != "kept" || int64(e.Limit) != c.max || e.Length != c.max+1 {
				t.Errorf("%d: %q, %v", c.max+1, dst, err)
			}
		}
		p := []byte(strings.Repeat("y", 200))
		dst, err := frame.AppendPrefixed(nil, c.width, p)
		if err != nil {
			t.Fatal(err)
		}
		d := frame.Prefixed{Width: c.width}
		equal(t, drain(&d, dst), []string{string(p)})
	}
	if dst, err := frame.AppendPrefixed([]byte("kept"), frame.Width8, make([]byte, 256)); !errors.Is(err, frame.ErrTooLong) || string(dst) != "kept" {
		t.Errorf("%q, %v", dst, err)
	}
	got, _ := frame.AppendPrefixed([]byte(">"), frame.Width16, []byte("ab"))
	if string(got) != ">\x00\x02ab" {
		t.Errorf("got %q", got)
	}
	// STR-1: the form.
	if got := frame.AppendNetstring([]byte(">"), []byte("hello")); string(got) != ">5:hello," {
		t.Errorf("got %q", got)
	}
}

func TestWidthMisuse(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a prefix of three bytes is accepted")
		}
	}()
	frame.Width(3).Max()
}

// STR-6: pausing holds later strings until resume.
func TestSTR6Pause(t *testing.T) {
	for _, c := range []struct {
		name   string
		d      pausing
		stream string
	}{
		{"netstrings", new(frame.Netstrings), "1:a,1:b,1:c,1:"},
		{"prefixed", &frame.Prefixed{Width: frame.Width8}, "\x01a\x01b\x01c\x01"},
		{"exact", &frame.Exact{Size: 1}, "abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 { // again: the second time nothing is left of the first
				var got []string
				take := func(p []byte) {
					for f := range frame.All(c.d, p) {
						got = append(got, string(f))
						c.d.Pause()
					}
				}
				p := []byte(c.stream)
				take(p)
				clear(p)
				equal(t, got, []string{"a"})
				for range 2 {
					c.d.Resume()
					take(nil)
				}
				equal(t, got, []string{"a", "b", "c"})
				c.d.Resume()
				if strings.Contains(c.name, "exact") {
					continue
				}
				take([]byte("d,")[:map[string]int{"netstrings": 2, "prefixed": 1}[c.name]])
				equal(t, got, []string{"a", "b", "c", "d"})
				c.d.Resume()
			}
			c.d.Stop()
			equal(t, drain(c.d, []byte(c.stream)), nil)
		})
	}
}

type pausing interface {
	frame.Decoder
	Pause()
	Resume()
	Stop()
}

// STR-8: the sizes of frames may change from one to the next.
func TestSTR8Exact(t *testing.T) {
	everyChunk(t, func(t *testing.T, cut cutter) {
		d := frame.Exact{Size: 1}
		var got []string
		cut("1a3bcd0xyz", func(p []byte) {
			for f := range frame.All(&d, p) {
				got = append(got, string(f))
				if d.Size = 1; f[0] >= '0' && f[0] <= '9' {
					d.Size = int(f[0] - '0') // zero: nothing more
				}
			}
		})
		equal(t, got, []string{"1", "a", "3", "bcd", "0"})
		if d.Buffered() != 3 {
			t.Errorf("%d bytes kept, want 3", d.Buffered())
		}
		d.Size = 3
		equal(t, drain(&d, nil), []string{"xyz"})
	})
}

func TestStringsAllocs(t *testing.T) {
	var n frame.Netstrings
	var p frame.Prefixed
	var e frame.Exact
	for _, c := range []struct {
		d frame.Decoder
		p []byte
	}{
		{&n, []byte(strings.Repeat("5:hello,", 20))},
		{&p, []byte(strings.Repeat("\x00\x00\x00\x05hello", 20))},
		{&e, []byte(strings.Repeat("hello", 20))},
	} {
		allocs(t, func() {
			e.Size = 5
			c.d.Feed(c.p)
			for i := range 21 {
				f, ok, err := c.d.Next()
				if err != nil || ok != (i < 20) {
					t.Fatal(ok, err)
				}
				at := min(i, 19) * len(c.p) / 20
				if ok && !slices.Contains([]*byte{&c.p[at], &c.p[at+2], &c.p[at+4]}, &f[0]) {
					t.Fatal("copied")
				}
			}
		})
	}
}

// FuzzNetstrings compares the frames of a stream cut into chunks with those of the whole
// stream, and these with the encoder.
func FuzzNetstrings(f *testing.F) {
	f.Add([]byte("5:hello,0:,1:,,"), 0, []byte{1})
	f.Add([]byte("1:x,01:y,"), 10, []byte{2, 1})
	f.Add([]byte("12:x"), 10, []byte{1, 1, 1})
	f.Add([]byte("1:xy"), -1, []byte{3})
	f.Fuzz(func(t *testing.T, stream []byte, limit int, cuts []byte) {
		one := fuzzRun(&frame.Netstrings{MaxLength: limit}, stream, nil)
		equal(t, fuzzRun(&frame.Netstrings{MaxLength: limit}, stream, cuts), one)
		var again []byte
		for _, s := range one {
			if !strings.HasPrefix(s, "error: ") {
				again = frame.AppendNetstring(again, []byte(s[1:]))
			}
		}
		if !strings.HasPrefix(string(stream), string(again)) {
			t.Fatalf("decoded %q from %q", one, stream)
		}
	})
}

func FuzzPrefixed(f *testing.F) {
	f.Add([]byte("\x03abc\x00\x01d"), uint8(0), 0, []byte{1})
	f.Add([]byte("\x00\x03abc\x00\x00\x00\x01d"), uint8(1), 0, []byte{2, 1})
	f.Add(binary.BigEndian.AppendUint32(nil, math.MaxUint32), uint8(2), -1, []byte{3})
	f.Fuzz(func(t *testing.T, stream []byte, width uint8, limit int, cuts []byte) {
		w := []frame.Width{frame.Width8, frame.Width16, frame.Width32}[width%3]
		one := fuzzRun(&frame.Prefixed{Width: w, MaxLength: limit}, stream, nil)
		equal(t, fuzzRun(&frame.Prefixed{Width: w, MaxLength: limit}, stream, cuts), one)
		var again []byte
		for _, s := range one {
			if !strings.HasPrefix(s, "error: ") {
				again, _ = frame.AppendPrefixed(again, w, []byte(s[1:]))
			}
		}
		if !strings.HasPrefix(string(stream), string(again)) {
			t.Fatalf("decoded %q from %q", one, stream)
		}
	})
}

// fuzzRun is drain for a stream that is cut as cuts says. Each frame gets a space before
// it, so that none looks like an error.
func fuzzRun(d frame.Decoder, stream, cuts []byte) (got []string) {
	for i := 0; len(stream) > 0; i++ {
		n := len(stream)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[i%len(cuts)]))
		}
		p := slices.Clone(stream[:n])
		stream = stream[n:]
		for f, err := range frame.All(d, p) {
			if err != nil {
				return append(got, "error: "+err.Error())
			}
			got = append(got, " "+string(f))
		}
		clear(p)
	}
	return got
}

// STR-2: the greatest length that a negative MaxLength allows is one of a string that has not come, also where an int has 32 bits.
func TestGreatestNetstring(t *testing.T) {
	d := frame.Netstrings{MaxLength: -1}
	d.Feed([]byte("2147483647:abc"))
	if p, ok, err := d.Next(); ok || err != nil || d.Buffered() != 3 {
		t.Errorf("STR-2: %q, %v, %v, and %d bytes are kept", p, ok, err, d.Buffered())
	}
}
