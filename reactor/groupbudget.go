package reactor

import (
	"math"
	"sync"

	"github.com/whorl-go/whorl/internal/chunks"
)

// budget is Config.MaxBufferedTotal of a group, in chunks. Each loop has a part of it, its
// maxChunks, with which it compares what its connections hold, as a loop alone does. When it holds more, it takes
// another piece, and the lock is taken. So a message costs nothing, and all parts together never exceed the total. One piece of each loop
// is its own, whatever the others hold, and one that is started anew has it too. The rest is for whoever comes first.
type budget struct {
	g     *Group
	total int
	piece int // what a loop has at least, and takes at a time

	mu     sync.Mutex
	free   int
	asking bool // the loops were asked to give back what they do not need
}

// newBudget makes the budget of n loops; nil without a limit. It has a chunk for each loop at least.
func newBudget(g *Group, maxBufferedTotal, n int) *budget {
	total := chunksOf(maxBufferedTotal)
	if total == math.MaxInt {
		return nil
	}
	total = max(total, n)
	piece := max(1, total/(16*n))
	return &budget{g: g, total: total, piece: piece, free: total - n*piece}
}

// chunksOf is Config.MaxBufferedTotal in chunks.
func chunksOf(maxBufferedTotal int) int {
	switch {
	case maxBufferedTotal == 0:
		return defaultTotal / chunks.Size
	case maxBufferedTotal < 0:
		return math.MaxInt
	}
	return (maxBufferedTotal-1)/chunks.Size + 1
}

// begin gives r the piece that is its own.
func (b *budget) begin(r *Reactor) {
	if b != nil {
		r.maxChunks = b.piece
	}
}

// end takes back what r had of the rest. It does not run any more, or is at its end.
func (b *budget) end(r *Reactor) {
	if b == nil || r == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += max(0, r.maxChunks-b.piece)
	r.maxChunks = 0
	b.asking = false // r may be the last that was to answer
}

// grow gives r as many pieces as it needs. It returns false if there are not as many: then r has
// what there was. If little is left, the others are asked for what they do not need.
func (b *budget) grow(r *Reactor) bool {
	b.mu.Lock()
	for r.maxChunks < r.chunks.Held && b.free > 0 {
		n := min(b.piece, b.free)
		b.free -= n
		r.maxChunks += n
	}
	ask := b.free < b.total/4 && !b.asking
	b.asking = b.asking || ask
	b.mu.Unlock()
	if ask {
		b.g.PostAll(b.giveBack)
	}
	return r.maxChunks >= r.chunks.Held
}

// giveBack returns the part of r's that it does not need, but for one piece.
func (b *budget) giveBack(r *Reactor) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking = false
	if spare := r.maxChunks - r.chunks.Held - b.piece; spare > 0 {
		r.maxChunks -= spare
		b.free += spare
	}
}

// budgetGrows is called when connections of r hold more than its maxChunks. It tells whether the group has had more for
// it.
func (r *Reactor) budgetGrows() bool {
	return r.member != nil && r.member.g.budget != nil && r.member.g.budget.grow(r)
}

// totalChunks is Config.MaxBufferedTotal.
func (r *Reactor) totalChunks() int {
	if r.member != nil && r.member.g.budget != nil {
		return r.member.g.budget.total
	}
	return r.maxChunks
}
