package flow

import "time"

// entry is a message that waits, or a batch of them.
type entry struct {
	msg   []byte
	key   string
	at    time.Duration // when it came
	count int           // messages in it
}

// entryCost is what an entry takes besides its message, so that many small messages are bounded too.
const entryCost = 64

// size is what e counts against the bound.
func (e *entry) size() int { return len(e.msg) + len(e.key) + entryCost }

// ring holds entries in order. Each has a number, from begin to end, that it keeps. It grows as needed, and shrinks only with its owner.
type ring struct {
	all        []entry // a power of two
	begin, end uint64
	size       int // of all entries
	bytes      int // of their messages
	messages   int
}

const firstRing = 8

func (r *ring) len() int { return int(r.end - r.begin) }

// at is the entry with a number. It is valid until the next push or pop.
func (r *ring) at(n uint64) *entry { return &r.all[n&uint64(len(r.all)-1)] }

func (r *ring) push(e entry) {
	if r.len() == len(r.all) {
		grown := make([]entry, max(firstRing, 2*len(r.all)))
		for n := r.begin; n < r.end; n++ {
			grown[n&uint64(len(grown)-1)] = *r.at(n)
		}
		r.all = grown
	}
	*r.at(r.end) = e
	r.end++
	r.size += e.size()
	r.bytes += len(e.msg)
	r.messages += e.count
}

// pop takes the first entry out. There must be one.
func (r *ring) pop() entry {
	at := r.at(r.begin)
	e := *at
	*at = entry{}
	r.begin++
	r.size -= e.size()
	r.bytes -= len(e.msg)
	r.messages -= e.count
	return e
}
