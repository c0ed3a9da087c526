package reactor

import (
	"github.com/whorl-go/whorl/internal/chunks"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
)

// hooks connect the reactor to a simulated kernel. On other kernels observer, forcer and
// explorer are nil, and each use costs one comparison.
type hooks struct {
	observer probe.Observer
	forcer   probe.Forcer
	explorer probe.Explorer // for Rare and Sometimes
	hooked   bool           // observer or forcer is set
	lent     bool           // the read buffer is lent to a protocol; only set if hooked
}

func (h *hooks) init(k kernel.Kernel) {
	h.observer, _ = kernel.As[probe.Observer](k)
	h.forcer, _ = kernel.As[probe.Forcer](k)
	h.explorer, _ = kernel.As[probe.Explorer](k)
	h.hooked = h.observer != nil || h.forcer != nil
}

// observe tells the observer, if there is one.
func (h *hooks) observe(n probe.Note) {
	if h.observer != nil {
		h.observer.Observe(n)
	}
}

// forced tells whether the rare branch at site is taken now.
func (h *hooks) forced(site probe.Site) bool { return h.forcer != nil && h.forcer.Force(site) }

// note tells the observer something about s. The compiler inlines it, because it does not inline noted.
func (s *Stream) note(kind probe.NoteKind, n int, err error) {
	if s.r.observer != nil {
		s.noted(kind, n, err)
	}
}

//go:noinline
func (s *Stream) noted(kind probe.NoteKind, n int, err error) {
	s.r.observer.Observe(probe.Note{Kind: kind, Token: s.token, Conn: s.conn, N: n, Err: err})
}

// note tells the observer something about t.
func (t *PacketPort) note(kind probe.NoteKind, n int, err error) {
	if t.r.observer != nil {
		t.r.observer.Observe(probe.Note{Kind: kind, Token: t.token, Packet: t.conn, N: n, Err: err})
	}
}

// noteData notes that n bytes of the read buffer are lent to the protocol of s.
func (s *Stream) noteData(n int) {
	s.r.lent = true
	s.note(probe.NoteData, n, nil)
}

// bufferReturned is called when the protocol has returned from DataReceived. lent is the
// part of the read buffer that the protocol had.
func (r *Reactor) bufferReturned(lent []byte) {
	r.noteDataDone()
	if r.forced(probe.SiteScribble) {
		// A protocol that kept the slice now finds garbage, as after the next read.
		for i := range lent {
			lent[i] = 0xdb
		}
	}
}

// noteDataDone notes that the read buffer is no longer lent.
func (r *Reactor) noteDataDone() {
	r.lent = false
	n := probe.Note{Kind: probe.NoteDataDone}
	if s, ok := r.current.(*Stream); ok {
		n.Token, n.Conn = s.token, s.conn
	}
	r.observe(n)
}

// noteChunk notes that a chunk of output was taken into use, or was given back.
func (r *Reactor) noteChunk(id int, taken bool) {
	kind := probe.NoteChunkDone
	if taken {
		kind = probe.NoteChunk
	}
	r.observe(probe.Note{Kind: kind, N: id})
}

// noteChanged notes that a slice given to WriteShared was changed too early.
func (r *Reactor) noteChanged() { r.observe(probe.Note{Kind: probe.NoteChanged}) }

// noteBuild notes that a factory is asked for a protocol for c.
func (r *Reactor) noteBuild(c kernel.Conn) {
	r.observe(probe.Note{Kind: probe.NoteBuild, Conn: c})
}

// note tells the observer something about the attempt in progress, or about the stream.
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

// flushAt tells whether size buffered bytes are sent at once: if they fill a chunk. A
// forcer may change that either way.
func (s *Stream) flushAt(size int) bool {
	if size >= chunks.Size {
		return !s.r.forced(probe.SiteFlushLater)
	}
	return s.r.forced(probe.SiteFlushNow)
}
