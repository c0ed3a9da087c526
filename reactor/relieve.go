package reactor

import (
	"fmt"
	"slices"

	"github.com/whorl-go/whorl/internal/chunks"
)

// relieve ends connections when their unsent output takes more memory than
// Config.MaxBufferedTotal allows, those that hold the most first, until a sixteenth of it is
// free. So the look at all connections is made once for much that is written, and not for each
// write. Their memory is given back at once, and they are lost later, as always.
func (r *Reactor) relieve() {
	if r.budgetGrows() {
		return
	}
	type holder struct {
		s    *Stream
		held int
	}
	var all []holder
	for s := range r.Streams() {
		if s.state > streamClosing {
			s.out.Discard(&r.chunks) // it ends, and sends nothing of that any more
		} else if n := s.out.Held(); n > 0 {
			all = append(all, holder{s, n})
		}
	}
	if r.chunks.Held <= r.maxChunks {
		return
	}
	slices.SortStableFunc(all, func(a, b holder) int { return b.held - a.held })
	for _, h := range all {
		if r.chunks.Held <= r.maxChunks-r.maxChunks/16 {
			return
		}
		s := h.s
		if s.state > streamClosing {
			continue // a producer that was stopped has ended it
		}
		s.end(fmt.Errorf("%w: all connections together have more unsent than Config.MaxBufferedTotal, which is %d, and this one has the most: %d bytes",
			ErrBufferFull, r.totalChunks()*chunks.Size, s.out.Len()))
		s.out.Discard(&r.chunks)
		s.stopProducer()
	}
}
