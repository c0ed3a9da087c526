package chunks_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/internal/chunks"
)

// pattern is n bytes of which those nearby differ.
func pattern(from, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte((from + i) * 31 >> 3)
	}
	return p
}

// holds compares what the list holds with want, by each way of looking at it.
func holds(t *testing.T, l *chunks.List, want []byte) {
	t.Helper()
	v, n := l.Vectors(nil, 1<<30)
	if got := bytes.Join(v, nil); n != len(want) || l.Len() != n || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, Len is %d; %d were expected", n, l.Len(), len(want))
	}
	if !bytes.HasPrefix(want, l.First()) || (len(l.First()) == 0) != (len(want) == 0) {
		t.Fatalf("the first piece has %d bytes", len(l.First()))
	}
	if single := l.Single(); len(v) == 1 && !bytes.Equal(single, want) || len(v) != 1 && single != nil {
		t.Fatalf("%d pieces, and a single one of %d bytes", len(v), len(single))
	}
}

// Random calls on two lists with one supply do what they do to plain slices, and every
// chunk that is taken is given back once. The chunks of a list have no more memory than the
// list has bytes, but for the first and the last.
func TestAgainstSlices(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 0))
		taken, inUse := map[int]bool{}, 0
		f := chunks.FreeList{
			Note: func(id int, take bool) {
				if id <= 0 || taken[id] == take {
					t.Fatalf("chunk %d: taken %v, and was already", id, take)
				}
				if taken[id] = take; take {
					inUse++
				} else {
					inUse--
				}
			},
			Changed: func() { t.Error("a shared slice was changed") },
		}
		var lists [2]chunks.List
		var want [2][]byte
		for step := range 300 {
			i := rng.IntN(2)
			l := &lists[i]
			switch rng.IntN(10) {
			case 0:
				l.Drop(&f)
				want[i] = nil
			case 1, 2:
				p := pattern(step, rng.IntN(5*chunks.Size))
				l.Append(&f, p)
				want[i] = append(want[i], p...)
			case 3, 4:
				p := pattern(step, rng.IntN(3*chunks.Size>>rng.IntN(4)))
				l.Share(&f, p)
				want[i] = append(want[i], p...)
			case 5, 6:
				p := pattern(step, rng.IntN(2000))
				l.Append(&f, p)
				want[i] = append(want[i], p...)
			default:
				n := rng.IntN(1 + l.Len())
				l.Advance(&f, n)
				want[i] = want[i][n:]
			}
			holds(t, l, want[i])
			if f.Held != lists[0].Held()+lists[1].Held() {
				t.Fatalf("Held is %d, and %d and %d of the lists", f.Held, lists[0].Held(), lists[1].Held())
			}
			if most := len(want[0]) + len(want[1]) + 4*chunks.Size; inUse*chunks.Size > most {
				t.Fatalf("%d chunks are in use for %d and %d bytes", inUse, len(want[0]), len(want[1]))
			}
		}
		for i := range lists {
			lists[i].Advance(&f, lists[i].Len())
			holds(t, &lists[i], nil)
		}
		for id, still := range taken {
			if still {
				t.Fatalf("chunk %d was never given back", id)
			}
		}
	}
}

func TestVectors(t *testing.T) {
	var f chunks.FreeList
	var l chunks.List
	for i := range 5 {
		l.Append(&f, pattern(i, chunks.Size))
	}
	l.Advance(&f, 100)
	v, n := l.Vectors(make([][]byte, 1, 4), 4)
	if len(v) != 4 || n != 3*chunks.Size-100 || v[0] != nil {
		t.Errorf("%d vectors of %d bytes", len(v), n)
	}
	if !bytes.Equal(v[1], pattern(0, chunks.Size)[100:]) || !bytes.Equal(v[3], pattern(2, chunks.Size)) {
		t.Error("they hold something else")
	}
	if v, n = l.Vectors(v, 4); len(v) != 4 || n != 0 {
		t.Errorf("there was no room, and came %d vectors of %d bytes", len(v), n)
	}
}

// What was appended is a copy, and small pieces share a chunk.
func TestCopies(t *testing.T) {
	var f chunks.FreeList
	var l chunks.List
	p := []byte("abc")
	big := pattern(0, 3*chunks.Size)
	want := slices.Concat(p, p, big)
	l.Append(&f, p)
	l.Append(&f, p)
	if string(l.Single()) != "abcabc" {
		t.Errorf("one piece was expected to hold abcabc, not %q", l.Single())
	}
	l.Append(&f, big)
	clear(p)
	clear(big)
	holds(t, &l, want)
}

// A write to an empty list costs no allocation, nor does one behind others, as long as the
// free list has chunks.
func TestAllocs(t *testing.T) {
	var f chunks.FreeList
	var l chunks.List
	p := pattern(0, 3000)
	vec := make([][]byte, 0, 16)
	for name, fn := range map[string]func(){
		"one":  func() { l.Append(&f, p); l.Advance(&f, len(p)) },
		"drop": func() { l.Append(&f, p); l.Drop(&f) },
		"single": func() {
			l.Append(&f, p)
			l.DropSingle(&f)
			if l.Len() != 0 || l.Single() != nil {
				t.Error("something is left")
			}
		},
		"many": func() {
			for range 50 {
				l.Append(&f, p)
			}
			l.Vectors(vec, 16)
			l.Advance(&f, l.Len())
		},
	} {
		fn()
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// What was sent of a large slice is given back although the rest of it waits.
func TestSentPiecesAreGivenBack(t *testing.T) {
	inUse := 0
	f := chunks.FreeList{Note: func(_ int, taken bool) {
		if inUse--; taken {
			inUse += 2
		}
	}}
	var l chunks.List
	all := pattern(0, 100*chunks.Size)
	l.Append(&f, all)
	for sent := 0; sent < len(all); sent += 10_000 {
		if most := l.Len()/chunks.Size + 1; inUse > most {
			t.Fatalf("%d chunks are in use for %d bytes", inUse, l.Len())
		}
		l.Advance(&f, min(10_000, l.Len()))
	}
	if inUse != 0 {
		t.Errorf("%d chunks are in use in the end", inUse)
	}
}

// A long shared slice is kept, and nothing is written behind it. A short one is copied, and
// so is one that fits behind what is there.
func TestShare(t *testing.T) {
	long := pattern(0, 2*chunks.ShareMin)
	for _, c := range []struct {
		name   string
		before int // bytes appended
		size   int
		copied bool
	}{
		{"long", 0, chunks.ShareMin, false},
		{"short", 0, chunks.ShareMin - 1, true},
		{"fits", chunks.Size - chunks.ShareMin, chunks.ShareMin, true},
		{"does not fit", chunks.Size - chunks.ShareMin + 1, chunks.ShareMin, false},
	} {
		var f chunks.FreeList
		var l chunks.List
		want := slices.Concat(pattern(1, c.before), long[:c.size], []byte("abc"))
		l.Append(&f, pattern(1, c.before))
		l.Share(&f, long[:c.size])
		l.Append(&f, []byte("abc"))
		holds(t, &l, want)
		l.Advance(&f, c.before)
		if copied := &l.First()[0] != &long[0]; copied != c.copied {
			t.Errorf("%s: copied %v, want %v", c.name, copied, c.copied)
		}
		l.Drop(&f)
		for range 3 { // what was shared is not handed out as a chunk
			l.Append(&f, bytes.Repeat([]byte{'!'}, chunks.Size))
		}
	}
	if !bytes.Equal(long, pattern(0, len(long))) {
		t.Error("a shared slice was written to")
	}
}

// Many short shared slices take as few pieces as if they were appended.
func TestShareShort(t *testing.T) {
	var f chunks.FreeList
	var l chunks.List
	p := pattern(0, 100)
	for range 10 * chunks.Size / len(p) {
		l.Share(&f, p)
	}
	if v, _ := l.Vectors(nil, 1000); len(v) > 10 {
		t.Errorf("%d pieces", len(v))
	}
}

// A shared slice that was changed is noticed when it leaves the list, once.
func TestChanged(t *testing.T) {
	for _, leave := range []func(*chunks.List, *chunks.FreeList){
		func(l *chunks.List, f *chunks.FreeList) { l.Advance(f, l.Len()) },
		(*chunks.List).Drop,
		(*chunks.List).Discard,
	} {
		for _, change := range []bool{true, false} {
			n := 0
			f := chunks.FreeList{Note: func(int, bool) {}, Changed: func() { n++ }}
			var l chunks.List
			p := pattern(0, chunks.Size)
			l.Share(&f, p)
			l.Append(&f, pattern(0, 100))
			l.Advance(&f, 1)
			if change {
				p[0]++
			}
			if n != 0 {
				t.Error("it was noticed too early")
			}
			if leave(&l, &f); n != 0 != change || n > 1 {
				t.Errorf("changed %v, and it was noticed %d times", change, n)
			}
		}
	}
}

// The free list keeps no more than a mebibyte.
func TestFreeListIsBounded(t *testing.T) {
	ids := map[int]bool{}
	f := chunks.FreeList{Note: func(id int, taken bool) { ids[id] = ids[id] || taken }}
	var l chunks.List
	fill := func() {
		for i := range 100 {
			l.Append(&f, pattern(i, chunks.Size))
		}
		l.Append(&f, pattern(0, 10*chunks.Size))
		l.Drop(&f)
	}
	// The list is full after each burst, and empty in the next, again and again.
	for burst := range 4 {
		fill()
		if want := 110 + burst*(110-64); len(ids) != want {
			t.Errorf("%d chunks were made in %d bursts, not %d", len(ids), burst+1, want)
		}
	}
}
