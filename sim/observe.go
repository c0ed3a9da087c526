package sim

import (
	"errors"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

var (
	_ kernel.Observer = (*simKernel)(nil)
	_ kernel.Rare     = (*simKernel)(nil)
)

// Observe is kernel.Observer: callbacks go into the trace, and what is noted is held
// against what the kernel knows.
func (k *simKernel) Observe(note kernel.Note) {
	n := k.n
	n.mu.Lock()
	defer n.mu.Unlock()
	s := inner(note.Sock)
	if note.Kind.Callback() || traced(note.Kind) {
		l := line{at: n.now, op: opNote, sub: uint8(note.Kind), host: k.h.name, n: note.N, text: note.Name}
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
}

// traced are the notes besides callbacks that tell something about the program.
func traced(kind kernel.NoteKind) bool {
	return kind == kernel.NotePaused || kind == kernel.NoteResumed || kind == kernel.NotePanic
}

// reason is err for people. A panic's value may hold an address of memory, which differs
// from run to run, so that only its place is told.
func reason(err error) string {
	var p *reactor.PanicError
	if errors.As(err, &p) {
		return "panic in " + p.In
	}
	return err.Error()
}

// inner is the sock of this package that a wrapper leads to, or nil.
func inner(s kernel.Sock) *sock {
	for s != nil {
		if x, ok := s.(*sock); ok {
			return x
		}
		u, ok := s.(interface{ Unwrap() kernel.Sock })
		if !ok {
			break
		}
		s = u.Unwrap()
	}
	return nil
}

// sites decides at which sites of reactors rare branches are taken. Its source is its
// own, so that what the network does is drawn alike with and without them.
type sites struct {
	random random
	drawn  bool
	level  [kernel.Sites]float64 // from which Sites on each is enabled
	counts [kernel.Sites]SiteCount
}

// SiteCount tells how often a site in the reactors of a network was passed while it was
// enabled, and how often its rare branch was taken.
type SiteCount struct {
	Site          kernel.Site
	Passed, Fired int
}

const siteChance = 1. / 4

// Rare is kernel.Rare.
func (k *simKernel) Rare(site kernel.Site) bool {
	n := k.n
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.Sites <= 0 && n.Resets <= 0 || site >= kernel.Sites || k.gone {
		return false
	}
	v := &n.sites
	if !v.drawn {
		v.drawn = true
		v.random = stream(n.seed, "sites")
		for i := range v.level {
			v.level[i] = float64(v.random.next()>>11) / (1 << 53) / siteChance
		}
	}
	p := siteChance
	if site.Resets() {
		p = n.Resets
	} else if v.level[site] >= n.Sites {
		p = 0
	}
	if p <= 0 {
		return false
	}
	c := &v.counts[site]
	c.Passed++
	if !v.random.chance(p) {
		return false
	}
	c.Fired++
	n.trace.add(n.KeepTrace, k.h.id, line{at: n.now, op: opRare, sub: uint8(site), host: k.h.name})
	return true
}

// Fired is one count for each site, in the order of their numbers: a test shows with it
// that what it means to force is forced.
func (n *Net) Fired() []SiteCount {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := make([]SiteCount, kernel.Sites)
	for i := range counts {
		counts[i] = n.sites.counts[i]
		counts[i].Site = kernel.Site(i)
	}
	return counts
}
