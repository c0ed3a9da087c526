package kv

import (
	"bytes"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// store has the keys, in a map to find them and in a slice to go through them.
type store struct {
	keys map[string]*entry
	all  []*entry
	used int // bytes of keys and values, and overhead for each
}

// overhead is about how many bytes an entry takes besides its key and its value.
const overhead = 100

// entry is a key with its value. Its timer is pending if it expires.
type entry struct {
	key     string
	value   []byte
	place   int // in store.all
	expires *reactor.DelayedCall
}

func (s *store) find(key []byte) *entry { return s.keys[string(key)] }

// set makes value the value of key. It copies value: over the value before, if there is room and not
// much too much of it. So a value that is set again and again is no garbage. The time after which
// the entry expires stays.
func (s *store) set(key, value []byte) *entry {
	e := s.find(key)
	if e == nil {
		e = &entry{key: string(key), place: len(s.all)}
		s.keys[e.key] = e
		s.all = append(s.all, e)
		s.used += len(key) + overhead
	}
	s.used += len(value) - len(e.value)
	if room := cap(e.value); room >= len(value) && room <= 2*len(value)+64 {
		e.value = append(e.value[:0], value...)
	} else {
		e.value = bytes.Clone(value)
	}
	return e
}

// append puts value behind that of e.
func (s *store) append(e *entry, value []byte) {
	s.used += len(value)
	e.value = append(e.value, value...)
}

// remove takes e out. The last of all takes its place.
func (s *store) remove(e *entry) {
	e.persist()
	delete(s.keys, e.key)
	end := len(s.all) - 1
	last := s.all[end]
	s.all[e.place], last.place = last, e.place
	s.all[end] = nil
	s.all = s.all[:end]
	s.used -= len(e.key) + len(e.value) + overhead
}

func (s *store) clear() {
	for _, e := range s.all {
		e.persist()
	}
	*s = store{keys: map[string]*entry{}}
}

// expire removes e after a time. So nobody has to look whether a key that is found has expired, and
// one that nobody asks for takes no memory.
func (s *store) expire(r *reactor.Reactor, e *entry, after time.Duration) {
	if e.expires == nil {
		e.expires = new(reactor.DelayedCall)
		e.expires.Init(r, func() { s.remove(e) })
	}
	e.expires.Reset(after)
}

// persist makes e stay. It tells whether it would have expired.
func (e *entry) persist() bool {
	if e.expires == nil {
		return false
	}
	e.expires.Cancel()
	e.expires = nil
	return true
}

// scan calls fn for up to count entries, and for no more once their keys have that many bytes. It returns the cursor for the
// next ones, 0 after the last. The first cursor is 0. A cursor is how many entries are left, and it goes down: an entry that
// takes the place of another comes from the end, where it was seen already. So none that stays is missed.
func (s *store) scan(cursor, count, bytes int, fn func(*entry)) (next int) {
	if cursor <= 0 || cursor > len(s.all) {
		cursor = len(s.all)
	}
	for next = cursor; next > max(0, cursor-count) && bytes > 0; {
		next--
		bytes -= len(s.all[next].key)
	}
	for _, e := range s.all[next:cursor] {
		fn(e)
	}
	return next
}
