package sim

import "github.com/whorl-go/whorl/kernel/probe"

// Site is a place where a rare branch can be forced: in a simulated kernel, where
// kernel.Kernel and kernel.Conn allow it, or in the reactor on it.
type Site uint8

// The sites at which a correct program notices nothing.
const (
	// SiteReadOne reads one byte, or one datagram.
	SiteReadOne Site = iota
	// SiteReadAgain finds nothing to read, though readiness was reported.
	SiteReadAgain
	// SiteScribble is probe.SiteScribble.
	SiteScribble
	// SiteWriteOne takes one byte, or one datagram.
	SiteWriteOne
	// SiteWriteAgain finds the socket full.
	SiteWriteAgain
	// SiteNoVectors takes only the first of several slices.
	SiteNoVectors
	// SiteFlushLater is probe.SiteFlushLater.
	SiteFlushLater
	// SiteFlushNow is probe.SiteFlushNow.
	SiteFlushNow
	// SiteResumeLater is probe.SiteResumeLater.
	SiteResumeLater
	// SiteEventOne reports one event of all there are.
	SiteEventOne
	// SiteWaitEarly returns from Wait at once, as after a signal.
	SiteWaitEarly
	// SiteAcceptOne accepts one connection, and finds no more until the next Wait.
	SiteAcceptOne
	// SiteAcceptAgain finds no connection to accept, as if another process had it.
	SiteAcceptAgain
	// SiteConnectAgain finds that a Dial is not over, though readiness was reported.
	SiteConnectAgain
	// SiteTimersOne is probe.SiteTimersOne.
	SiteTimersOne
	// SitePostsLater is probe.SitePostsLater.
	SitePostsLater
)

// The sites that end a connection. A program must expect it, and yet may notice.
const (
	// SiteReadReset finds at a read that the connection was reset.
	SiteReadReset Site = iota + SitePostsLater + 1
	// SiteWriteReset finds it at a write.
	SiteWriteReset
	// SiteAcceptReset finds that a connection went away before it was accepted.
	SiteAcceptReset

	// Sites is how many there are; they are numbered from 0.
	Sites
)

// String is the site's name: "read-one", "write-again" ...
func (s Site) String() string {
	names := [...]string{"read-one", "read-again", "scribble", "write-one", "write-again", "no-vectors", "flush-later",
		"flush-now", "resume-later", "event-one", "wait-early", "accept-one", "accept-again", "connect-again",
		"timers-one", "posts-later", "read-reset", "write-reset", "accept-reset"}
	if int(s) < len(names) {
		return names[s]
	}
	return "site"
}

// Resets tells whether the site ends a connection.
func (s Site) Resets() bool { return s >= SiteReadReset && s < Sites }

// siteOf is the Site of one in the reactor.
func siteOf(s probe.Site) Site {
	sites := [probe.Sites]Site{
		probe.SiteScribble:    SiteScribble,
		probe.SiteFlushLater:  SiteFlushLater,
		probe.SiteFlushNow:    SiteFlushNow,
		probe.SiteResumeLater: SiteResumeLater,
		probe.SiteTimersOne:   SiteTimersOne,
		probe.SitePostsLater:  SitePostsLater,
	}
	return sites[s]
}

// sites decides where rare branches are taken. Its source is its own, so that what the
// network does is drawn alike with and without them.
type sites struct {
	random random
	drawn  bool
	level  [Sites]float64 // from which Sites on each is enabled
	counts [Sites]SiteCount
}

// SiteCount tells how often a site in a network was passed while it was enabled, and how
// often its rare branch was taken.
type SiteCount struct {
	Site          Site
	Passed, Fired int
}

const siteChance = 1. / 4

// Force is probe.Forcer.
func (k *simKernel) Force(site probe.Site) bool {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	return site < probe.Sites && k.forced(siteOf(site))
}

// forced tells whether the rare branch of a site is taken now.
func (k *simKernel) forced(site Site) bool {
	n := k.n
	if n.Options.Sites <= 0 && n.Options.Resets <= 0 || k.gone {
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
		p = n.Options.Resets
	} else if v.level[site] >= n.Options.Sites {
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
	n.trace.add(n.KeepTrace, k.h.id, line{at: n.now, op: OpRare, sub: uint8(site), host: k.h.name})
	return true
}

// Fired is one count for each site, in the order of their numbers: a test shows with it
// that what it means to force is forced.
func (n *Net) Fired() []SiteCount {
	n.mu.Lock()
	defer n.mu.Unlock()
	counts := make([]SiteCount, Sites)
	for i := range counts {
		counts[i] = n.sites.counts[i]
		counts[i].Site = Site(i)
	}
	return counts
}
