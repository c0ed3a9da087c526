package sim

import (
	"fmt"
	"hash/crc32"
	"time"
)

// content is what programs have written, in order. Hash depends on the lengths alone, and so says nothing of two words of one
// length that change places. World.Check compares the content too.
type content struct {
	sum    uint64
	keep   bool // with KeepTrace
	writes []written
}

// written is some bytes that a socket took.
type written struct {
	line int // of the trace, where the write stands or soon will
	at   time.Duration
	host string
	sock int
	n    int    // how many bytes
	sum  uint32 // of all of them
	data string // the first
}

// keptBytes is how many bytes of a write are kept at most: a run may write as much as it likes.
const keptBytes = 4096

// castagnoli is the table of a CRC for which most processors have an instruction.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

// content is told of bytes that s takes.
func (n *Net) content(s *sock, p []byte) {
	c := &n.trace.content
	sum := crc32.Checksum(p, castagnoli())
	h := (c.sum ^ uint64(sum)<<32 ^ uint64(len(p))) * 0x9e3779b97f4a7c15
	c.sum = h ^ h>>29
	if c.keep {
		c.writes = append(c.writes, written{len(n.trace.lines) + 1, n.now, s.h.name, s.id, len(p), sum, string(p[:min(len(p), keptBytes)])})
	}
}

// partOfContent finds the first write in which two runs differ. It is nil if there is none.
func partOfContent(a, b []written) *DivergedError {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			at := 0
			for at < min(len(x.data), len(y.data)) && x.data[at] == y.data[at] {
				at++
			}
			e := &DivergedError{Line: x.line, First: x.text(at), Second: y.text(at)}
			if i > 0 {
				e.Before = a[i-1].text(0)
			}
			return e
		}
	}
	return nil
}

// text is a line like those of the trace, with the bytes around the one at the index.
func (w *written) text(at int) string {
	const before, shown = 16, 48
	from := max(at-before, 0)
	to := min(from+shown, len(w.data))
	head, tail := "", ""
	if from > 0 {
		head = fmt.Sprintf("(%d bytes) ", from)
	}
	if to < w.n {
		tail = fmt.Sprintf(" (%d bytes)", w.n-to)
	}
	return fmt.Sprintf("%-14v %-10s #%d writes %s%q%s", w.at, w.host, w.sock, head, w.data[from:to], tail)
}
