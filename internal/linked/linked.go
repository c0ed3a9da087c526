// Package linked has a list whose links stand in its elements. So to add and to remove one takes no memory and no search, and an element that stands in
// no list has two nil pointers more.
package linked

// Links are those of an element in one list. The zero Links stand in none.
type Links[T any] struct{ prev, next *T }

// List is a list of elements that have Links, in the order in which they were added. New makes one.
type List[T any] struct {
	first, last *T
	n           int
	links       func(*T) *Links[T]
}

// New makes an empty list. links returns the Links of an element that are for this list.
func New[T any](links func(*T) *Links[T]) List[T] { return List[T]{links: links} }

// Add puts e at the end. It must not stand in the list.
func (l *List[T]) Add(e *T) {
	l.links(e).prev = l.last
	if l.last != nil {
		l.links(l.last).next = e
	} else {
		l.first = e
	}
	l.last = e
	l.n++
}

// Remove takes e out. It must stand in the list.
func (l *List[T]) Remove(e *T) {
	at := l.links(e)
	if at.prev != nil {
		l.links(at.prev).next = at.next
	} else {
		l.first = at.next
	}
	if at.next != nil {
		l.links(at.next).prev = at.prev
	} else {
		l.last = at.prev
	}
	*at = Links[T]{}
	l.n--
}

// First is the element that was added first, or nil.
func (l *List[T]) First() *T { return l.first }

// Next is the element after e, or nil.
func (l *List[T]) Next(e *T) *T { return l.links(e).next }

// Has tells whether e stands in the list. It may stand in no other one of the same Links.
func (l *List[T]) Has(e *T) bool { return l.links(e).prev != nil || l.first == e }

// Len is how many elements stand in the list.
func (l *List[T]) Len() int { return l.n }
