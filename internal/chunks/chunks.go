// Package chunks buffers the output of connections: a [List] of chunks for each, and one
// [FreeList] for those that share a goroutine.
//
// What is appended is copied into chunks of [Size] bytes, which are recycled. So a small
// write to an empty list takes one chunk from the free list, and allocates nothing. A large
// one fills several chunks. Each is given back as soon as it has been sent, so a connection
// holds little more memory than what it still has to send.
//
// What is shared is kept as the caller's slice, unless it is short. So the same slice may
// stand in many lists, each of which needs a few words for it.
package chunks

import "hash/crc32"

const (
	// Size is the capacity of a recycled chunk.
	Size = 16 << 10
	// ShareMin is the length from which a shared slice is kept. Copying a shorter one into a
	// recycled chunk takes less time than to make a piece of it (measured: 26 ns against 29
	// for 2 KiB, 44 against 30 for 4 KiB), and one system call takes only a few pieces.
	ShareMin = 4 << 10
	// FreeMax is how many chunks a FreeList keeps: 1 MiB. What is given back beyond that, after
	// a burst, is the garbage collector's.
	FreeMax = 64
)

type chunk struct {
	next *chunk
	buf  []byte // buf[off:] is unsent
	off  int
	id   int32 // for FreeList.Note; 0: it has none yet; or sharedID
	seq  int32 // counts the chunks of the list that are not shared, from any number on; it may wrap
}

// sharedID is the id of a chunk whose buf is a slice given to Share, which is not written to and
// not recycled.
const sharedID = -1

func (c *chunk) shared() bool { return c.id == sharedID }

// FreeList is a supply of chunks. The zero value is ready to use.
type FreeList struct {
	// Note, unless nil, is called when a chunk is taken to hold output, and when it is
	// given back. A chunk keeps its id, which is above 0. For tests and simulations: it
	// sees a chunk that is taken or given back twice.
	Note func(id int, taken bool)
	// Changed is called, if Note is set too, when a shared slice was changed before it was
	// sent or dropped. It costs a checksum at both ends of that time.
	Changed func()

	// Held is how many chunks are in lists. Shared slices do not count.
	Held int

	first *chunk
	n     int
	ids   int32             // given out so far
	sums  map[*chunk]uint32 // of the shared slices, if Changed is set
}

func (f *FreeList) take() *chunk {
	if c := f.first; c != nil {
		f.first, c.next = c.next, nil
		f.n--
		return c
	}
	return &chunk{buf: make([]byte, 0, Size)}
}

// copyOf returns a chunk with a copy of p, which has at most Size bytes.
func (f *FreeList) copyOf(p []byte) *chunk {
	f.Held++
	if len(p) == Size && f.first == nil {
		return &chunk{buf: append([]byte(nil), p...)} // unlike make, this clears no memory first
	}
	c := f.take()
	c.buf = append(c.buf, p...)
	return c
}

// give takes c back. The caller has noted it.
func (f *FreeList) give(c *chunk) {
	if c.shared() {
		return
	}
	if f.Held--; f.n >= FreeMax {
		return
	}
	c.buf, c.off, c.next = c.buf[:0], 0, f.first
	f.first = c
	f.n++
}

// note is called, if Note is set, when c has come into a list or has gone from it.
func (f *FreeList) note(c *chunk, taken bool) {
	if c.shared() {
		f.noteShared(c, taken)
		return
	}
	if c.id == 0 {
		f.ids++
		c.id = f.ids
	}
	f.Note(int(c.id), taken)
}

func (f *FreeList) noteShared(c *chunk, taken bool) {
	sum := crc32.ChecksumIEEE(c.buf)
	switch {
	case f.Changed == nil:
	case taken:
		if f.sums == nil {
			f.sums = map[*chunk]uint32{}
		}
		f.sums[c] = sum
	default:
		if f.sums[c] != sum {
			f.Changed()
		}
		delete(f.sums, c)
	}
}

// List is a queue of bytes. The zero value is empty. An empty List holds no memory. Its
// methods that take a FreeList must always be given the same one.
type List struct {
	tail *chunk // the last, whose next is the first
	size int    // bytes in the list
}

// Len is the number of bytes in the list.
func (l *List) Len() int { return l.size }

// Held is how many chunks the list holds, without shared slices.
func (l *List) Held() int {
	if l.tail == nil {
		return 0
	}
	first := l.tail.next
	n := int(l.tail.seq - first.seq)
	if !first.shared() {
		n++
	}
	return n
}

// Append copies p to the end.
func (l *List) Append(f *FreeList, p []byte) {
	l.size += len(p)
	if n := min(len(p), l.room()); n > 0 {
		l.tail.buf = append(l.tail.buf, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		n := min(len(p), Size)
		c := f.copyOf(p[:n])
		p = p[n:]
		l.link(c)
		if f.Note != nil {
			f.note(c, true)
		}
	}
}

// Share puts p at the end. If p has at least ShareMin bytes and does not fit into the last
// chunk, the list keeps p itself, until all of it was sent or dropped. Meanwhile nobody may
// change it. Any other p is copied. So a chunk is followed by a shared slice only if both
// together have more than Size bytes. The chunks of a list never have more memory than the list
// has bytes, but for the first and the last.
func (l *List) Share(f *FreeList, p []byte) {
	if len(p) < ShareMin || l.room() >= len(p) {
		l.Append(f, p)
		return
	}
	l.size += len(p)
	c := &chunk{buf: p[:len(p):len(p)], id: sharedID}
	l.link(c)
	if f.Note != nil {
		f.note(c, true)
	}
}

// Advance drops the first n bytes. There must be as many.
func (l *List) Advance(f *FreeList, n int) {
	l.size -= n
	for n > 0 {
		c := l.tail.next
		left := len(c.buf) - c.off
		if n < left {
			c.off += n
			return
		}
		n -= left
		l.shift(f)
	}
}

// Drop empties the list.
func (l *List) Drop(f *FreeList) {
	l.Discard(f)
	l.size = 0
}

// Discard gives the memory of the list back. Len still tells how many bytes it had; nothing
// else may be called afterwards but Discard and Drop.
func (l *List) Discard(f *FreeList) {
	last := l.tail
	if last == nil {
		return
	}
	c := last.next
	l.tail = nil
	for {
		next := c.next
		if f.Note != nil {
			f.note(c, false)
		}
		f.give(c)
		if c == last {
			return
		}
		c = next
	}
}

// DropSingle is Drop for a list of one piece and a FreeList without Note. It is short
// enough for the compiler to inline.
func (l *List) DropSingle(f *FreeList) {
	t := l.tail
	*l = List{}
	f.give(t)
}

// First is the first piece, nil of an empty list. It is the list's memory, valid until the
// next call of Append, Advance or Drop.
func (l *List) First() []byte {
	if l.tail == nil {
		return nil
	}
	return l.tail.next.rest()
}

// Single is the whole content if that is one piece, or nil. It is valid as long as First.
func (l *List) Single() []byte {
	if t := l.tail; t != nil && t.next == t {
		return t.rest()
	}
	return nil
}

// Vectors appends the first pieces to v, until len(v) is limit, and returns v and how many
// bytes it appended. They are valid as long as First.
func (l *List) Vectors(v [][]byte, limit int) (_ [][]byte, n int) {
	if l.tail == nil {
		return v, 0
	}
	for c := l.tail.next; len(v) < limit; c = c.next {
		v = append(v, c.rest())
		n += len(c.buf) - c.off
		if c == l.tail {
			break
		}
	}
	return v, n
}

func (c *chunk) rest() []byte { return c.buf[c.off:] }

// room is how many bytes fit into the last chunk.
func (l *List) room() int {
	if t := l.tail; t != nil && !t.shared() {
		return Size - len(t.buf)
	}
	return 0
}

func (l *List) link(c *chunk) {
	if l.tail == nil {
		c.next = c
	} else {
		c.seq = l.tail.seq
		c.next, l.tail.next = l.tail.next, c
	}
	if !c.shared() {
		c.seq++
	}
	l.tail = c
}

// shift takes the first chunk out.
func (l *List) shift(f *FreeList) {
	first := l.tail.next
	if first == l.tail {
		l.tail = nil
	} else {
		l.tail.next = first.next
	}
	if f.Note != nil {
		f.note(first, false)
	}
	f.give(first)
}
