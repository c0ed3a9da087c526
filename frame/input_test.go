package frame

import (
	"bytes"
	"testing"
)

// A decoder keeps only the unfinished tail. An idle decoder holds no buffer and no chunk.
func TestIdleHoldsNothing(t *testing.T) {
	var l Lines
	var n Netstrings
	p := Prefixed{Width: Width16}
	e := Exact{Size: 4}
	x := Split{Find: func(p []byte) (int, error) { return bytes.IndexByte(p, '.') + 1, nil }}
	for _, c := range []struct {
		d      Decoder
		in     *input
		stream string
	}{
		{&l, &l.input, "one\r\ntwo\r\n"},
		{&n, &n.input, "3:one,3:two,"},
		{&p, &p.input, "\x00\x03one\x00\x03two"},
		{&e, &e.input, "one.two."},
		{&x, &x.input, "one.two."},
	} {
		for at := range len(c.stream) + 1 {
			for range All(c.d, []byte(c.stream[:at])) {
			}
			if c.in.chunk != nil || c.in.last != nil || len(c.in.own) > 6 {
				t.Errorf("%T at %d: keeps %q", c.d, at, c.in.own)
			}
			for range All(c.d, []byte(c.stream[at:])) {
			}
			if c.in.own != nil || c.in.chunk != nil || c.in.last != nil {
				t.Errorf("%T at %d: idle, and holds %q", c.d, at, c.in.own)
			}
		}
	}
}

// No byte of a long line is searched again when more bytes come, except a part of the
// delimiter. So the work is proportional to the bytes.
func TestNeverSearchesAgain(t *testing.T) {
	d := Lines{Delimiter: "--", MaxLength: -1}
	for i := range 1000 {
		d.Feed([]byte("x"))
		if _, ok, err := d.Next(); ok || err != nil {
			t.Fatal(ok, err)
		}
		if want := max(0, i+1-1); d.searched != want {
			t.Fatalf("%d bytes of %d searched, want %d", d.searched, i+1, want)
		}
	}
	// A delimiter put where was searched already is not found.
	copy(d.own[10:], "--")
	d.Feed([]byte("--"))
	if f, ok, _ := d.Next(); !ok || len(f) != 1000 {
		t.Fatalf("searched again: line of %d bytes", len(f))
	}
}

// A tail that grows byte by byte is moved rarely. So copying is proportional to the bytes
// too.
func TestTailGrowsRarely(t *testing.T) {
	d := Lines{MaxLength: -1}
	moves := 0
	for range 100_000 {
		before := cap(d.own)
		d.Feed([]byte("x"))
		if _, ok, err := d.Next(); ok || err != nil {
			t.Fatal(ok, err)
		}
		if cap(d.own) != before {
			moves++
		}
	}
	if moves > 60 {
		t.Errorf("moved %d times", moves)
	}
}

// The limit on lines also limits how many bytes a decoder keeps.
func TestKeepsNoMoreThanTheLimit(t *testing.T) {
	d := Lines{MaxLength: 10}
	d.Feed(bytes.Repeat([]byte("x"), 11))
	d.Next()
	if d.Feed([]byte("xx")); d.Buffered() != 13 {
		t.Fatalf("buffered %d", d.Buffered())
	}
	if _, _, err := d.Next(); err == nil {
		t.Fatal("no error")
	}
	d.Pause()
	for range 100 {
		d.Feed([]byte("xxxxxxxxxx"))
	}
	if d.Buffered() != 13 {
		t.Errorf("a decoder that failed keeps %d bytes", d.Buffered())
	}
}

// STR-11: after an error, Rest of Lines returns the line with all behind it and goes on. That of the
// others returns nothing, and their errors stay. After Stop it is nil with all.
func TestRestAfterErrorAndStop(t *testing.T) {
	for _, c := range []struct {
		d          Decoder
		bad, good  string
		rest, next string
	}{
		{&Lines{MaxLength: 3}, "four\r\nx", "one\r\n", "four\r\nx", "one"},
		{new(Netstrings), "3x", "3:one,", "", ""},
		{&Netstrings{MaxLength: 3}, "4:four,", "3:one,", "", ""},
		{&Prefixed{Width: Width8, MaxLength: 3}, "\x04four", "\x03one", "", ""},
		{&Split{Find: func([]byte) (int, error) { return 0, nil }, MaxLength: 3}, "four", "one", "", ""},
	} {
		var err error
		for _, e := range All(c.d, []byte(c.bad)) {
			err = e
		}
		if rest := c.d.Rest(); err == nil || string(rest) != c.rest || c.rest == "" && rest != nil {
			t.Errorf("%T: after %v the rest is %q, want %q", c.d, err, rest, c.rest)
		}
		if c.next != "" {
			err = nil // dealt with
		}
		next := ""
		for frame, e := range All(c.d, []byte(c.good)) {
			next += string(frame)
			if e != err {
				t.Errorf("%T: then the error is %v", c.d, e)
			}
		}
		if next != c.next {
			t.Errorf("%T: then it returns %q, want %q", c.d, next, c.next)
		}
		c.d.Feed([]byte(c.good))
		c.d.(interface{ Stop() }).Stop()
		if rest := c.d.Rest(); rest != nil {
			t.Errorf("%T: after Stop the rest is %q", c.d, rest)
		}
	}
}
