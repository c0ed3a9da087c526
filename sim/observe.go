package sim

import (
	"errors"
	"strings"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/reactor"
)

var (
	_ probe.Observer = (*simKernel)(nil)
	_ probe.Forcer   = (*simKernel)(nil)
)

// Observe is probe.Observer: callbacks go into the trace, and what is noted is held
// against what the kernel knows.
func (k *simKernel) Observe(note probe.Note) {
	n := k.n
	n.mu.Lock()
	defer n.mu.Unlock()
	s := inner(note.Conn)
	if note.Packet != nil {
		s = innerHandle(note.Packet)
	}
	if note.Kind.Callback() || traced(note.Kind) {
		l := line{at: n.now, op: OpNote, sub: uint8(note.Kind), host: k.h.name, n: note.N, text: note.Name}
		if s != nil {
			l.sock = s.id
		}
		if note.Err != nil {
			l.text = reason(note.Err)
		}
		n.trace.add(n.KeepTrace, k.h.id, l)
	}
	// Of a program that has crashed in its own callback the turn still ends, on
	// sockets that are gone.
	if !k.gone {
		k.witness(s, &note)
	}
	if note.Kind.Callback() {
		n.spins(k, s, &note)
		k.spend()
	}
}

// traced are the notes besides callbacks that tell something about the program.
func traced(kind probe.NoteKind) bool {
	return kind == probe.NotePaused || kind == probe.NoteResumed || kind == probe.NotePanic
}

// reason is err in the trace. A panic's value may hold an address of memory, which
// differs from run to run, so only its place is told. An errno has other words on other
// systems, so the kind stands in its place.
func reason(err error) string {
	if p, ok := errors.AsType[*reactor.PanicError](err); ok {
		return "panic in " + p.In
	}
	text := err.Error()
	if e, ok := errors.AsType[*kernel.SysError](err); ok && e.Kind != nil {
		text = strings.Replace(text, e.Error(), e.Op+": "+e.Kind.Error(), 1)
	}
	return text
}

// inner is the conn of this package that a wrapper leads to, or nil.
func inner(c kernel.Conn) *sock {
	if u, ok := kernel.ConnAs[*unixConn](c); ok {
		return u.s
	}
	if p, ok := kernel.ConnAs[*pipeConn](c); ok {
		return p.s
	}
	s, _ := kernel.ConnAs[*sock](c)
	return s
}

// innerHandle is the socket of this package behind a handle that may be wrapped, or nil.
func innerHandle(h kernel.Handle) *sock {
	switch h := h.(type) {
	case kernel.Conn:
		return inner(h)
	case *child:
		return h.s
	case kernel.Listener:
		if l, ok := kernel.ListenerAs[*listener](h); ok {
			return l.sock
		}
	case kernel.PacketConn:
		if c, ok := kernel.PacketAs[interface{ socket() *sock }](h); ok {
			return c.socket()
		}
	}
	return nil
}
