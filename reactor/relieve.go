package reactor

import (
	"fmt"

	"github.com/whorl-go/whorl/internal/chunks"
)

// relieve ends connections until their unsent output takes no more memory than
// Config.MaxBufferedTotal allows. Those that hold the most end first. Their memory is given
// back at once, and they are lost later, as always.
func (r *Reactor) relieve() {
	for r.chunks.Held > r.maxChunks {
		var worst *Stream
		most := 0
		for s := range r.Streams() {
			if s.state > streamClosing {
				continue // it ends, and holds nothing for long
			}
			if n := s.out.Held(); n > most {
				worst, most = s, n
			}
		}
		if worst == nil {
			return
		}
		worst.end(fmt.Errorf("%w: all connections together have more unsent than Config.MaxBufferedTotal, which is %d, and this one has the most: %d bytes",
			ErrBufferFull, r.maxChunks*chunks.Size, worst.out.Len()))
		worst.out.Discard(&r.chunks)
		worst.stopProducer()
	}
}
