package pages_test

import (
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/internal/pages"
)

// A table keeps what is put into it, over several pages, and iterates in order over what is appended meanwhile too.
func TestTable(t *testing.T) {
	var x pages.Table[int]
	for range x.All() {
		t.Error("an empty table has an entry")
	}
	const n = 5000
	for i := range n {
		if x.Len() != i {
			t.Fatalf("Len is %d after %d", x.Len(), i)
		}
		x.Append(-i)
	}
	for i := range n {
		if x.At(i) != -i {
			t.Fatalf("entry %d is %d", i, x.At(i))
		}
		x.Set(i, i)
	}
	next := 0
	for i, v := range x.All() {
		if i != next || v != i {
			t.Fatalf("entry %d is %d, want entry %d", i, v, next)
		}
		if next++; next == n {
			x.Append(n)
		}
	}
	if next != n+1 {
		t.Errorf("%d entries, want %d", next, n+1)
	}
	for i := range x.All() {
		if i == 3 {
			break
		}
	}
}

// A large table allocates little more than its entries, and a small one little.
func TestTableMemory(t *testing.T) {
	grow := func(n int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var x pages.Table[*int]
		for range n {
			x.Append(nil)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if b := grow(20_000); b > 20_000*8*3/2 {
		t.Errorf("20,000 pointers take %d bytes", b)
	}
	if b := grow(3); b > 200 {
		t.Errorf("3 pointers take %d bytes", b)
	}
}
