// Package pages has a table that grows without a copy of what it holds. A slice that grows by append leaves its old memory to the
// collector: as much again as it has, and up to half of its new memory is not used.
package pages

import "iter"

// bits is the logarithm of the entries of a page.
const (
	bits = 10
	size = 1 << bits
)

// Table holds entries with the numbers from 0 to Len - 1. The zero value is empty. The first page grows by append, so that a small
// table is small.
type Table[T any] struct {
	pages [][]T
	n     int
}

// Len is how many entries there are.
func (t *Table[T]) Len() int { return t.n }

// At returns entry i, which must be below Len.
func (t *Table[T]) At(i int) T { return t.pages[uint(i)>>bits][uint(i)%size] }

// Set replaces entry i, which must be below Len.
func (t *Table[T]) Set(i int, v T) { t.pages[uint(i)>>bits][uint(i)%size] = v }

// Append adds v as entry Len.
func (t *Table[T]) Append(v T) {
	last := t.n >> bits
	if last == len(t.pages) {
		var page []T
		if last > 0 {
			page = make([]T, 0, size)
		}
		t.pages = append(t.pages, page)
	}
	t.pages[last] = append(t.pages[last], v)
	t.n++
}

// All iterates over the entries in their order, those included that are appended meanwhile.
func (t *Table[T]) All() iter.Seq2[int, T] {
	return func(yield func(int, T) bool) {
		for i := 0; i < t.n; i++ {
			if !yield(i, t.At(i)) {
				return
			}
		}
	}
}
