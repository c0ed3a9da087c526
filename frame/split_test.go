package frame_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/frame"
)

var errOdd = errors.New("odd")

// stars finds frames that end with "*". A "!" is an error. It fails if it is not shown what it was
// shown before.
type stars struct {
	t      testing.TB
	seen   []byte // of the frame that is not complete
	looked int    // bytes looked at, in all
}

func (s *stars) find(p []byte) (int, error) {
	if !bytes.HasPrefix(p, s.seen) || len(p) == 0 {
		s.t.Fatalf("STR-12: shown %q, and %q before", p, s.seen)
	}
	from := len(s.seen)
	s.looked += len(p) - from
	s.seen = append(s.seen[:0], p...)
	if i := bytes.IndexAny(p[from:], "*!"); i >= 0 {
		s.seen = s.seen[:0]
		s.looked -= len(p) - from - i - 1
		if p[from+i] == '!' {
			return 0, errOdd
		}
		return from + i + 1, nil
	}
	return 0, nil
}

// STR-12: Split returns the frames that Find finds, however the stream is cut, and the first error
// of Find for ever. Find is shown each byte that came, from the beginning of the frame on.
func TestSTR12Split(t *testing.T) {
	long := strings.Repeat("x", 3000) + "*"
	for _, c := range []struct {
		stream string
		want   []string
		err    error
	}{
		{"", nil, nil},
		{"a*bc**d", []string{"a*", "bc*", "*"}, nil},
		{long + "b*" + long + long + "b*", []string{long, "b*", long, long, "b*"}, nil},
		{"a*b!c*", []string{"a*"}, errOdd},
		{"a*" + long[1:] + strings.Repeat("y", 3001) + "*b*", []string{"a*", long[1:]}, frame.ErrTooLong},
	} {
		everyChunk(t, func(t *testing.T, cut cutter) {
			s := &stars{t: t}
			d := &frame.Split{Find: s.find, MaxLength: 3001}
			got, err := feedAll(t, d, cut, c.stream)
			equal(t, got, c.want)
			if !errors.Is(err, c.err) {
				t.Errorf("STR-12: ends with %v, want %v", err, c.err)
			}
			if c.err == nil {
				rest := c.stream[strings.LastIndex(c.stream, "*")+1:]
				if got := d.Rest(); string(got) != rest || s.looked != len(c.stream) {
					t.Errorf("STR-12: the rest is %q, want %q; Find has looked at %d bytes of %d", got, rest, s.looked, len(c.stream))
				}
			}
		})
	}
}

// STR-12: a frame of MaxLength bytes is not too long, one more is, also if its end is there. The
// default is 99999 bytes.
func TestSTR12MaxLength(t *testing.T) {
	for _, limit := range []int{0, 1, 10} {
		most := limit
		if limit == 0 {
			most = 99999
		}
		for over := range 2 {
			s := &stars{t: t}
			d := &frame.Split{Find: s.find, MaxLength: limit}
			frame1 := strings.Repeat("x", most-1+over) + "*"
			want := []string{frame1}
			if over > 0 {
				want = []string{fmt.Sprintf("error: frame too long: limit is %d bytes", most)}
			}
			equal(t, drain(d, []byte(frame1)), want)
		}
	}
}

// STR-12: pausing holds frames back, and Find is not asked meanwhile. Find may be changed between
// frames.
func TestSTR12PauseAndChange(t *testing.T) {
	everyChunk(t, func(t *testing.T, cut cutter) {
		var got []string
		var d frame.Split
		sized := func(p []byte) (int, error) {
			if n := int(p[0] - '0'); n < len(p) {
				return 1 + n, nil
			}
			return 0, nil
		}
		find := (&stars{t: t}).find
		d.Find = find
		take := func(p []byte) {
			for f, err := range frame.All(&d, p) {
				if err != nil {
					t.Fatal(err)
				}
				if got = append(got, string(f)); len(got)%2 == 1 {
					d.Find = sized
				} else {
					d.Find = find
				}
				d.Pause()
			}
		}
		cut("a*3bcdefg*0*", take)
		for range 4 {
			d.Resume()
			take(nil)
		}
		equal(t, got, []string{"a*", "3bcd", "efg*", "0", "*"})
	})
}

// STR-12: a result of Find that is no length of a frame panics.
func TestSTR12Misuse(t *testing.T) {
	for _, n := range []int{-1, 4} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("STR-12: Find has returned %d of 3 bytes, and nobody panics", n)
				}
			}()
			drain(&frame.Split{Find: func([]byte) (int, error) { return n, nil }}, []byte("abc"))
		}()
	}
}

// STR-12: what lies whole in a chunk is not copied. Of a chunk behind an unfinished frame no more is copied
// than about twice what completes that frame.
func TestSTR12Copies(t *testing.T) {
	first := func(p []byte) (int, error) { return bytes.IndexByte(p, '*') + 1, nil }
	d := frame.Split{Find: first, MaxLength: -1}
	chunk := bytes.Repeat([]byte("abc*"), 20)
	allocs(t, func() {
		d.Feed(chunk)
		for i := range 21 {
			f, ok, err := d.Next()
			if err != nil || ok != (i < 20) || ok && &f[0] != &chunk[4*i] {
				t.Fatal(ok, err)
			}
		}
	})
	large := append([]byte("b*"), bytes.Repeat([]byte("x"), 1<<20)...)
	large[len(large)-1] = '*'
	for range frame.All(&d, []byte("a")) {
	}
	d.Feed(large)
	f, ok, err := d.Next()
	if string(f) != "ab*" || !ok || err != nil {
		t.Fatalf("%q, %v, %v", f, ok, err)
	}
	if f, ok, _ = d.Next(); !ok || &f[0] != &large[2] || d.Buffered() != 0 {
		t.Error("STR-12: the second frame of the chunk was copied with the first")
	}
}

// FuzzSplit compares the frames of a stream cut into chunks with those of the whole stream, for
// frames that begin with their length, of which some are errors.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("\x02ab\x00\x01c"), 0, []byte{1})
	f.Add([]byte("\x02ab\xffc"), 0, []byte{2, 1})
	f.Add([]byte("\x05ab"), 4, []byte{1, 1, 3})
	f.Fuzz(func(t *testing.T, stream []byte, limit int, cuts []byte) {
		d := func() frame.Decoder {
			return &frame.Split{MaxLength: limit, Find: func(p []byte) (int, error) {
				if p[0] == 255 {
					return 0, errOdd
				}
				if n := 1 + int(p[0]); n <= len(p) {
					return n, nil
				}
				return 0, nil
			}}
		}
		one := fuzzRun(d(), stream, nil)
		equal(t, fuzzRun(d(), stream, cuts), one)
		if !slices.ContainsFunc(one, func(s string) bool { return strings.HasPrefix(s, "error: ") }) {
			again := 0
			for _, s := range one {
				again += len(s) - 1
			}
			if again > len(stream) || again+256 < len(stream) {
				t.Fatalf("%d bytes of frames in %d", again, len(stream))
			}
		}
	})
}
