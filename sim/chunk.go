package sim

import "github.com/whorl-go/whorl/internal/chunks"

// pieces are the chunks that hold the output of a reactor, by its own account.
type pieces struct {
	where []place // of each chunk, by number
	out   int     // how many are taken
	free  int     // how many lie free
}

// place is where a chunk is.
type place uint8

const (
	unmade place = iota
	inUse
	inFree // in the free list
	gone   // the free list was full
)

// chunk follows a chunk that is taken or comes back.
func (k *simKernel) chunk(number int, taken bool) {
	c := &k.chunks
	for number >= len(c.where) {
		c.where = append(c.where, unmade)
	}
	was := c.where[number]
	if taken {
		c.where[number] = inUse
		c.out++
		k.chunkTaken(number, was)
		return
	}
	if was != inUse {
		k.n.violate(RuleBuffers, "%s: chunk %d came back twice", k.h.name, number)
		return
	}
	c.out--
	if c.free == chunks.FreeMax {
		c.where[number] = gone
		return
	}
	c.where[number] = inFree
	c.free++
}

// chunkTaken checks where a chunk was that is taken now.
func (k *simKernel) chunkTaken(number int, was place) {
	c := &k.chunks
	switch was {
	case inUse:
		k.n.violate(RuleBuffers, "%s: chunk %d was taken twice", k.h.name, number)
	case inFree:
		c.free--
	case unmade:
		if c.free > 0 {
			k.n.violate(RuleBuffers, "%s: chunk %d was made though %d were given back and not used again", k.h.name, number, c.free)
		}
	case gone:
		k.n.violate(RuleBuffers, "%s: chunk %d was kept, though %d free ones were kept already", k.h.name, number, chunks.FreeMax)
	}
}
