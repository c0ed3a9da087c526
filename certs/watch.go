package certs

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"
)

// Watcher finds out which files of a Store have changed, and puts what is new into
// the store: new handshakes use it, connections that are there keep what they have.
// Each file of a directory is for itself. Files that come there are added. Files that
// go are removed, but not before another one of the directory serves. What is broken,
// expired or missing changes nothing: the old certificate stays in use.
//
// A file has changed when its content has. The files are small, so each look reads
// all of them. Times and sizes are not asked, because they may stay the same: after a
// quick second write, or after a copy that keeps them. A change is used when two
// looks, far enough apart, have seen the same content.
//
// A Watcher has no clock, no timer and no goroutine. Its user calls Look from time to
// time, on any goroutine because it may block, and then Apply. Calls must not
// overlap.
type Watcher struct {
	store  *Store
	settle time.Duration

	seen    map[unit]firstSeen // changed, and not yet known to stay so
	refused map[unit]sum       // known to be unusable, and reported
}

// firstSeen is a content, and when it was seen first.
type firstSeen struct {
	sum sum
	at  time.Duration
}

// Change is what a [Watcher] has found out about one certificate.
type Change struct {
	// Path is the certificate's file, or a directory of them.
	Path string
	// Cert is in use from now on. It is nil if Err is set, and if the file was removed
	// from its directory and no longer serves.
	Cert *x509.Certificate
	// Err says why the file cannot be used, mostly an [*Error]. What was in use
	// before stays. The same failure is reported once.
	Err error
}

// Findings is the result of a look. It is for [Watcher.Apply], once.
type Findings struct {
	now     time.Duration
	live    []*entry
	changed bool
	changes []Change
	seen    map[unit]firstSeen
	refused map[unit]sum
}

// Watch begins to watch the files of s, whose content is known from when s was made.
// settle is how long a content must stay the same before it is used; zero and
// negative: it is used at once. A store has one watcher in its life: a second panics.
func Watch(s *Store, settle time.Duration) *Watcher {
	if s.watched.Swap(true) {
		panic("certs: a second watcher of a Store")
	}
	return &Watcher{store: s, settle: settle}
}

// Look reads all files and compares them with what is in use. It may block, and
// changes nothing that another goroutine may look at. now is the time on the caller's
// clock, which must not go back.
func (w *Watcher) Look(now time.Duration) *Findings {
	f := &Findings{now: now, seen: map[unit]firstSeen{}, refused: map[unit]sum{}}
	for i := range w.store.sources {
		var old []*entry
		for _, e := range w.store.live {
			if e.unit.source == i {
				old = append(old, e)
			}
		}
		w.compareSource(f, i, old)
	}
	return f
}

// Apply makes new handshakes see what the last Look has found, and returns what
// changed. Findings that are not applied are forgotten: the next Look finds them again.
func (w *Watcher) Apply(f *Findings) []Change {
	w.seen, w.refused = f.seen, f.refused
	if f.changed {
		w.store.live = f.live
		w.store.publish()
	}
	return f.changes
}

// Next returns in how long something that has changed may have settled, so that a
// look is worth while. ok is false if nothing waits for that.
func (w *Watcher) Next(now time.Duration) (in time.Duration, ok bool) {
	in = w.settle
	for _, s := range w.seen {
		in = min(in, s.at+w.settle-now)
	}
	return in, len(w.seen) > 0
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

// compareSource compares source i, of which the entries old are in use.
func (w *Watcher) compareSource(f *Findings, i int, old []*entry) {
	src := &w.store.sources[i]
	units, err := src.units(i)
	if err != nil { // a directory that is gone or empty: nobody meant to serve nothing
		f.live = append(f.live, old...)
		w.reportOnce(f, unit{file: src.Dir, source: i}, sumOf(err), err)
		return
	}
	was := map[unit]*entry{}
	for _, e := range old {
		was[e.unit] = e
	}
	others := len(f.live)
	for _, u := range units {
		e := w.compareUnit(f, u, was[u])
		delete(was, u)
		if e != nil {
			f.live = append(f.live, e)
		}
	}
	if len(f.live) == others { // all have gone, and what has come is unusable or still being written
		f.live = append(f.live, old...)
		return
	}
	for _, e := range old {
		if was[e.unit] == nil {
			continue
		}
		var gone sum
		if w.settled(f, e.unit, gone) {
			f.changed = true
			f.changes = append(f.changes, Change{Path: e.unit.file})
			continue
		}
		f.live = append(f.live, e)
	}
}

// compareUnit returns what u is served with from now on, or nil.
func (w *Watcher) compareUnit(f *Findings, u unit, old *entry) *entry {
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
	refused, told := w.refused[u]
	told = told && refused == now
	if !told && !w.settled(f, u, now) {
		return old
	}
	if err != nil {
		w.reportOnce(f, u, now, err)
		return old
	}
	// What was refused is tried again: it may have become valid meanwhile.
	cert, err := w.store.loader.parse(&u, content)
	if err != nil {
		w.reportOnce(f, u, now, err)
		return old
	}
	f.changed = true
	f.changes = append(f.changes, Change{Path: u.file, Cert: cert.Leaf})
	return &entry{unit: u, cert: cert, sum: now}
}

// settled tells whether u has been like now for long enough. If not, f remembers
// since when it is.
func (w *Watcher) settled(f *Findings, u unit, now sum) bool {
	if w.settle <= 0 {
		return true
	}
	first, ok := w.seen[u]
	if !ok || first.sum != now {
		first = firstSeen{now, f.now}
	}
	if ok && f.now-first.at >= w.settle {
		return true
	}
	f.seen[u] = first
	return false
}

// reportOnce reports err, unless it has been reported.
func (w *Watcher) reportOnce(f *Findings, u unit, now sum, err error) {
	f.refused[u] = now
	if before, ok := w.refused[u]; ok && before == now {
		return
	}
	if e, ok := errors.AsType[*Error](err); ok {
		f.changes = append(f.changes, Change{Path: e.Path, Err: err})
		return
	}
	f.changes = append(f.changes, Change{Path: u.file, Err: err})
}
