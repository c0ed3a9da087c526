package reactor

import (
	"github.com/whorl-go/whorl/kernel"
)

// hooks are what a simulated kernel asks for; on others both are nil, and each use
// costs one comparison.
type hooks struct {
	observer kernel.Observer
	rare     kernel.Rare
	hooked   bool // one of them is there
	lent     bool // the read buffer, to a protocol; kept only for an observer
	chunkIDs int  // given to chunks so far
}

func (h *hooks) init(k kernel.Kernel) {
	h.observer, _ = kernel.As[kernel.Observer](k)
	h.rare, _ = kernel.As[kernel.Rare](k)
	h.hooked = h.observer != nil || h.rare != nil
}

// observe tells the observer, if there is one. Where it is called for every message
// the caller asks first, and saves the call.
func (h *hooks) observe(n kernel.Note) {
	if h.observer != nil {
		h.observer.Observe(n)
	}
}

// rarely tells whether a rare branch is to be taken.
func (h *hooks) rarely(site kernel.Site) bool { return h.rare != nil && h.rare.Rare(site) }

// note tells the observer something about s.
func (s *Stream) note(kind kernel.NoteKind, n int, err error) {
	s.r.observe(kernel.Note{Kind: kind, Token: s.token, Sock: s.sock, N: n, Err: err})
}

// noteData says that the read buffer is lent to the protocol of s.
func (s *Stream) noteData(n int) {
	s.r.lent = true
	s.note(kernel.NoteData, n, nil)
}

// takeBack is what follows when the protocol has returned the buffer.
func (r *Reactor) takeBack(lent []byte) {
	r.noteDone()
	if r.rarely(kernel.SiteScribble) {
		// A protocol that kept it has garbage now, as it would after the next read.
		for i := range lent {
			lent[i] = 0xdb
		}
	}
}

// noteDone says that the buffer is back.
func (r *Reactor) noteDone() {
	r.lent = false
	n := kernel.Note{Kind: kernel.NoteDataDone}
	if s, ok := r.current.(*Stream); ok {
		n.Token, n.Sock = s.token, s.sock
	}
	r.observe(n)
}

// noteChunk tells what becomes of c, by its number.
func (r *Reactor) noteChunk(kind kernel.NoteKind, c *chunk) {
	if c.id == 0 {
		r.chunkIDs++
		c.id = r.chunkIDs
	}
	r.observe(kernel.Note{Kind: kind, N: c.id})
}

// noteBuild says that the factory is asked for a protocol for sock.
func (r *Reactor) noteBuild(sock kernel.Sock) {
	r.observe(kernel.Note{Kind: kernel.NoteBuild, Sock: sock})
}

// note tells the observer something about the attempt in progress or its end.
func (c *Connector) note(kind kernel.NoteKind, err error) {
	if c.r.observer == nil {
		return
	}
	n := kernel.Note{Kind: kind, Token: c.token, Sock: c.sock, Err: err}
	if c.stream != nil {
		n.Sock = c.stream.sock
	}
	c.r.observer.Observe(n)
}

// forced is what the socket answers to a write at a rare site: that it is full, that it
// takes one byte, or that the connection was reset. Without one it returns false.
func (s *Stream) forced(p []byte) (n int, short bool, err error, yes bool) {
	rare := s.r.rare
	switch {
	case rare.Rare(kernel.SiteWriteAgain):
		return 0, true, kernel.ErrAgain, true
	case rare.Rare(kernel.SiteWriteReset):
		return 0, true, kernel.ErrReset, true
	case rare.Rare(kernel.SiteWriteOne):
		first := p
		if s.out.size > 0 {
			head := s.out.tail.next
			first = head.buf[head.off:]
		}
		n, err = s.sock.Write(first[:1])
		return n, n < s.out.size+len(p), err, true
	}
	return 0, false, nil, false
}

// flushAt tells whether so many bytes are sent at once. How the sizes of writes happen
// to add up may make it either way.
func (s *Stream) flushAt(size int) bool {
	if size >= chunkSize {
		return !s.r.rarely(kernel.SiteFlushLater)
	}
	return s.r.rarely(kernel.SiteFlushNow)
}

// readRarely reads as a socket seldom does. Without a rare site it is a plain read.
func (s *Stream) readRarely(buf []byte) (int, error) {
	rare := s.r.rare
	switch {
	case rare.Rare(kernel.SiteReadAgain):
		return 0, kernel.ErrAgain
	case rare.Rare(kernel.SiteReadReset):
		return 0, kernel.ErrReset
	case rare.Rare(kernel.SiteReadOne):
		buf = buf[:1]
	}
	return s.sock.Read(buf)
}

// acceptRarely accepts as a socket seldom does. Without a rare site it is a plain
// accept.
func (p *Port) acceptRarely() (kernel.Sock, error) {
	if p.r.rare.Rare(kernel.SiteAcceptAgain) {
		return nil, kernel.ErrAgain
	}
	sock, err := p.sock.Accept()
	if err == nil && p.r.rare.Rare(kernel.SiteAcceptReset) {
		sock.Abort()
		return nil, kernel.ErrAccept
	}
	return sock, err
}
