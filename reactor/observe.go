package reactor

import (
	"github.com/whorl-go/whorl/internal/chunks"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// hooks are what a simulated kernel asks for. On other kernels both are nil, and each use
// costs one comparison.
type hooks struct {
	observer probe.Observer
	forcer   probe.Forcer
	hooked   bool // one of them is there
	lent     bool // the read buffer, to a protocol; kept only for an observer
}

func (h *hooks) init(k kernel.Kernel) {
	h.observer, _ = kernel.As[probe.Observer](k)
	h.forcer, _ = kernel.As[probe.Forcer](k)
	h.hooked = h.observer != nil || h.forcer != nil
}

// observe tells the observer, if there is one. Where it is called for every message
// the caller asks first, and saves the call.
func (h *hooks) observe(n probe.Note) {
	if h.observer != nil {
		h.observer.Observe(n)
	}
}

// forced tells whether the rare branch of a site is taken now.
func (h *hooks) forced(site probe.Site) bool { return h.forcer != nil && h.forcer.Force(site) }

// note tells the observer something about s.
func (s *Stream) note(kind probe.NoteKind, n int, err error) {
	s.r.observe(probe.Note{Kind: kind, Token: s.token, Conn: s.conn, N: n, Err: err})
}

// noteData says that the read buffer is lent to the protocol of s.
func (s *Stream) noteData(n int) {
	s.r.lent = true
	s.note(probe.NoteData, n, nil)
}

// bufferReturned is what follows when the protocol has returned the buffer.
func (r *Reactor) bufferReturned(lent []byte) {
	r.noteDataDone()
	if r.forced(probe.SiteScribble) {
		// A protocol that kept it has garbage now, as it would after the next read.
		for i := range lent {
			lent[i] = 0xdb
		}
	}
}

// noteDataDone says that the buffer is back.
func (r *Reactor) noteDataDone() {
	r.lent = false
	n := probe.Note{Kind: probe.NoteDataDone}
	if s, ok := r.current.(*Stream); ok {
		n.Token, n.Conn = s.token, s.conn
	}
	r.observe(n)
}

// noteChunk tells what becomes of a chunk of output.
func (r *Reactor) noteChunk(id int, taken bool) {
	kind := probe.NoteChunkDone
	if taken {
		kind = probe.NoteChunk
	}
	r.observe(probe.Note{Kind: kind, N: id})
}

// noteBuild says that the factory is asked for a protocol for c.
func (r *Reactor) noteBuild(c kernel.Conn) {
	r.observe(probe.Note{Kind: probe.NoteBuild, Conn: c})
}

// note tells the observer something about the attempt in progress or its end.
func (c *Connector) note(kind probe.NoteKind, err error) {
	if c.r.observer == nil {
		return
	}
	n := probe.Note{Kind: kind, Token: c.token, Err: err}
	if c.stream != nil {
		n.Conn = c.stream.conn
	}
	c.r.observer.Observe(n)
}

// flushAt tells whether so many bytes are sent at once. How the sizes of writes happen
// to add up may make it either way.
func (s *Stream) flushAt(size int) bool {
	if size >= chunks.Size {
		return !s.r.forced(probe.SiteFlushLater)
	}
	return s.r.forced(probe.SiteFlushNow)
}
