package tlsio

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// ReloadConfig is what a [Reloader] may be told. Nil and the zero value are the
// defaults.
type ReloadConfig struct {
	// Every is the time between two looks at the files. Zero: 30 s; negative: only
	// when Check is called.
	Every time.Duration
	// Settle is how long a file must stay as it is before it is used, so that one that
	// is being written is not. Zero: 1 s; negative: it is used at once.
	Settle time.Duration
	// Stack is where the files are read. StackAuto is the reactor's pool, and the loop on
	// a simulated kernel: work in the pool has no place in virtual time, and a seed would
	// not repeat.
	Stack Stack
	// Logger hears of each Change. Nil: silence.
	Logger *slog.Logger
	// Changed is called on the loop's goroutine with each Change, after new handshakes
	// see it. Nil: nobody.
	Changed func(Change)
}

// Change is what a Reloader has found out about one certificate.
type Change struct {
	// Path is the certificate's file, or a directory of them.
	Path string
	// Cert is what is in use from now on; nil if Err is set or the file was removed
	// from its directory, and no longer serves.
	Cert *x509.Certificate
	// Err says why the file cannot be used, mostly a [*FileError]. What was in use
	// before stays. The same failure is told once.
	Err error
}

// ReloadStats counts what a Reloader did.
type ReloadStats struct {
	Checks  uint64 // looks at the files that were finished
	Changes uint64 // certificates replaced, added and removed
	Refused uint64 // files that could not be used
}

const (
	defaultEvery  = 30 * time.Second
	defaultSettle = time.Second
)

// Reloader replaces the certificates of a store when their files change: new
// handshakes use them, connections that are there keep what they have. Each file of
// a directory is for itself; files that come there are added, and files that go are
// removed, but for the last. What is broken, expired or missing changes nothing: the
// old certificate stays in use.
//
// A file has changed when its content has: the files are small, and times and
// sizes may stay the same, as after a quick second write or a copy that keeps them. A
// change is used when the content was the same at two looks, Settle apart; a writer
// that may pause for longer should write elsewhere and rename.
//
// Files are read on a goroutine of the reactor's pool, because a disk or a network
// file system may take its time and the loop must not; the results come home by Post.
// Methods are for the loop's goroutine.
type Reloader struct {
	r      *reactor.Reactor
	store  *Store
	cfg    ReloadConfig
	onLoop bool // files are read there
	log    *slog.Logger
	next   reactor.DelayedCall
	state  reloadState
	again  bool // a look was asked for during one
	stats  ReloadStats

	// What the last look left: a look's own while it is in progress.
	seen    map[unit]sighting // changed, and not yet known to stay so
	refused map[unit]sum      // what was told to be unusable
}

// sighting is what was seen first when, by the reactor's clock.
type sighting struct {
	sum sum
	at  time.Duration
}

type reloadState uint8

const (
	reloadIdle reloadState = iota
	reloadLooking
	reloadStopped
)

// NewReloader begins to watch the files of s; the first look is after c.Every. A
// store has one reloader in its life: a second panics. It ends with [Reloader.Stop],
// or with the reactor.
func NewReloader(r *reactor.Reactor, s *Store, c *ReloadConfig) *Reloader {
	if s.watched.Swap(true) {
		panic("tlsio: NewReloader for a Store that has one")
	}
	if c == nil {
		c = new(ReloadConfig)
	}
	l := &Reloader{r: r, store: s, cfg: *c, onLoop: Options{Stack: c.Stack}.onLoop(r), log: c.Logger}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.cfg.Every = cmp.Or(c.Every, defaultEvery)
	l.cfg.Settle = cmp.Or(c.Settle, defaultSettle)
	l.next.Init(r, l.look)
	l.rest()
	return l
}

// Check looks at the files now, as on a signal; what has changed is used after
// Settle. During a look it asks for one more. After Stop it does nothing.
func (l *Reloader) Check() {
	switch l.state {
	case reloadIdle:
		l.look()
	case reloadLooking:
		l.again = true
	}
}

// Stop ends the watch. Nothing changes after it, also by a look in progress. A second
// call does nothing.
func (l *Reloader) Stop() {
	l.state = reloadStopped
	l.next.Cancel()
}

// Stats is what has been counted so far.
func (l *Reloader) Stats() ReloadStats { return l.stats }

// rest waits for the next look.
func (l *Reloader) rest() {
	if l.cfg.Every > 0 {
		l.next.Reset(l.cfg.Every)
	}
}

func (l *Reloader) look() {
	l.state = reloadLooking
	l.next.Cancel()
	now := l.r.Now()
	if l.onLoop {
		l.looked(l.compare(now), nil)
		return
	}
	reactor.InThread(l.r, func() (findings, error) { return l.compare(now), nil }, l.looked)
}

// looked takes the results of a look home.
func (l *Reloader) looked(f findings, err error) {
	if l.state == reloadStopped {
		return
	}
	l.state = reloadIdle
	l.stats.Checks++
	if err != nil { // a panic, or the pool is at its end
		l.log.Error("certificates not checked", slog.Any("err", err))
		l.rest()
		return
	}
	l.seen, l.refused = f.seen, f.refused
	if f.changed {
		l.store.live = f.live
		l.store.publish()
	}
	switch {
	case l.again:
		l.again = false
		l.next.Reset(0)
	case len(f.seen) > 0:
		next := l.cfg.Settle
		for _, s := range f.seen {
			next = min(next, s.at+l.cfg.Settle-l.r.Now())
		}
		l.next.Reset(next)
	default:
		l.rest()
	}
	for _, c := range f.news {
		l.tell(c)
	}
}

func (l *Reloader) tell(c Change) {
	path := slog.String("file", c.Path)
	switch {
	case c.Err != nil:
		l.stats.Refused++
		l.log.LogAttrs(context.Background(), slog.LevelError, "certificate refused, the one before stays in use", path, slog.Any("err", c.Err))
	case c.Cert == nil:
		l.stats.Changes++
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "certificate removed", path)
	default:
		l.stats.Changes++
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "certificate loaded", path, slog.String("cert", Describe(c.Cert)))
	}
	if l.cfg.Changed != nil {
		l.cfg.Changed(c)
	}
}

// sum stands for the content of a unit's files, or for why they could not be read.
type sum [sha256.Size]byte

func (f *files) sum() sum {
	h := sha256.New()
	for _, part := range [][]byte{f.cert, f.key, f.chain} {
		one := sha256.Sum256(part)
		h.Write(one[:])
	}
	return sum(h.Sum(nil))
}

func sumOf(err error) sum { return sha256.Sum256([]byte(err.Error())) }

// findings is what a look has found.
type findings struct {
	live    []*entry
	changed bool
	news    []Change
	seen    map[unit]sighting
	refused map[unit]sum

	now time.Duration
}

// compare looks at all files. It changes nothing that the loop may look at meanwhile.
func (l *Reloader) compare(now time.Duration) findings {
	f := findings{now: now, seen: map[unit]sighting{}, refused: map[unit]sum{}}
	for i := range l.store.sources {
		var old []*entry
		for _, e := range l.store.live {
			if e.unit.source == i {
				old = append(old, e)
			}
		}
		l.compareSource(&f, i, old)
	}
	return f
}

func (l *Reloader) compareSource(f *findings, i int, old []*entry) {
	src := &l.store.sources[i]
	units, err := src.units(i)
	if err != nil { // a directory that is gone or empty: nobody meant to serve nothing
		f.live = append(f.live, old...)
		l.refuse(f, unit{file: src.Dir, source: i}, sumOf(err), err)
		return
	}
	was := map[unit]*entry{}
	for _, e := range old {
		was[e.unit] = e
	}
	for _, u := range units {
		e := l.compareUnit(f, u, was[u])
		delete(was, u)
		if e != nil {
			f.live = append(f.live, e)
		}
	}
	for _, e := range old {
		if was[e.unit] == nil {
			continue
		}
		var gone sum
		if l.settled(f, e.unit, gone) {
			f.changed = true
			f.news = append(f.news, Change{Path: e.unit.file})
			continue
		}
		f.live = append(f.live, e)
	}
}

// compareUnit returns what u is served with from now on, or nil.
func (l *Reloader) compareUnit(f *findings, u unit, old *entry) *entry {
	if u.ready != nil {
		return old
	}
	content, err := u.read()
	now := content.sum()
	if err != nil {
		now = sumOf(err)
	}
	if old != nil && now == old.sum {
		return old
	}
	refused, told := l.refused[u]
	told = told && refused == now
	if !told && !l.settled(f, u, now) {
		return old
	}
	if err != nil {
		l.refuse(f, u, now, err)
		return old
	}
	// What was refused is tried again: its time may have come.
	cert, err := l.store.loader.parse(&u, content)
	if err != nil {
		l.refuse(f, u, now, err)
		return old
	}
	f.changed = true
	f.news = append(f.news, Change{Path: u.file, Cert: cert.Leaf})
	return &entry{unit: u, cert: cert, sum: now}
}

// settled tells whether u has been like now for long enough; if not, the next look
// remembers since when it is.
func (l *Reloader) settled(f *findings, u unit, now sum) bool {
	if l.cfg.Settle < 0 {
		return true
	}
	first, ok := l.seen[u]
	if !ok || first.sum != now {
		first = sighting{now, f.now}
	}
	if ok && f.now-first.at >= l.cfg.Settle {
		return true
	}
	f.seen[u] = first
	return false
}

// refuse tells of err, unless it has been told.
func (l *Reloader) refuse(f *findings, u unit, now sum, err error) {
	f.refused[u] = now
	if before, ok := l.refused[u]; ok && before == now {
		return
	}
	if e, ok := errors.AsType[*FileError](err); ok {
		f.news = append(f.news, Change{Path: e.Path, Err: err})
		return
	}
	f.news = append(f.news, Change{Path: u.file, Err: err})
}
