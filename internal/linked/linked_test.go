package linked

import (
	"math/rand/v2"
	"slices"
	"testing"
)

type element struct {
	name  int
	links Links[element]
}

// A list has what was added and not removed, in the order of adding, whatever is removed from where.
func TestList(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	l := New(func(e *element) *Links[element] { return &e.links })
	var want []*element
	for i := range 10_000 {
		if n := len(want); n == 0 || n < 5 && rnd.IntN(2) == 0 {
			e := &element{name: i}
			l.Add(e)
			want = append(want, e)
			if !l.Has(want[0]) || !l.Has(e) {
				t.Fatal("an element of the list is not in it")
			}
		} else {
			at := rnd.IntN(n)
			l.Remove(want[at])
			if want[at].links != (Links[element]{}) || l.Has(want[at]) {
				t.Fatal("a removed element still has links")
			}
			if rnd.IntN(2) == 0 { // it may come again
				l.Add(want[at])
				want = append(want, want[at])
			}
			want = slices.Delete(want, at, at+1)
		}
		var got []*element
		for e := l.First(); e != nil; e = l.Next(e) {
			got = append(got, e)
		}
		if !slices.Equal(got, want) || l.Len() != len(want) || l.last != nil && l.Next(l.last) != nil || len(want) == 0 && l.last != nil {
			t.Fatalf("step %d: %d elements, want %d", i, len(got), len(want))
		}
	}
	e := new(element)
	if n := testing.AllocsPerRun(100, func() { l.Add(e); l.Remove(e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
