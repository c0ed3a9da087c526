package tlsio

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/reactor"
)

// ReloadConfig configures a [Reloader]. Nil and the zero value are the defaults.
type ReloadConfig struct {
	// Every is the time between two looks at the files. Zero: 30 s; negative: only
	// when Check or CheckAll is called.
	Every time.Duration
	// Settle is how long a changed file must stay the same before it is used: a file that
	// is being written must not be. Zero: 1 s; negative: it is used at once.
	Settle time.Duration
	// Logger is told of each certs.Change. Nil: nobody.
	Logger *slog.Logger
	// Changed is called on the loop's goroutine with each certs.Change, after new handshakes
	// see it. Nil: nobody.
	Changed func(certs.Change)
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

// Reloader replaces the certificates of a store when their files change. It has a
// [certs.Watcher] compare the files from time to time. A writer that may pause for
// longer than ReloadConfig.Settle should write elsewhere and rename.
//
// Files are read on a goroutine of their own, because a disk or a network
// file system may block, and the loop must not. The results come back to the loop by
// Post. Methods are for the loop's goroutine.
type Reloader struct {
	r     *reactor.Reactor
	watch *certs.Watcher
	files sync.Mutex    // of watch: a look of a loop that is lost may be in progress still
	ahead time.Duration // of the clock of r: looks must not see time go back when another loop goes on
	now   time.Duration // of the last look
	cfg   ReloadConfig
	log   *slog.Logger
	next  reactor.DelayedCall
	state reloadState
	stats ReloadStats
}

type reloadState uint8

const (
	reloadIdle reloadState = iota
	reloadLooking
	reloadLookingTwice // another look was asked for during this one
	reloadStopped
)

// NewReloader begins to watch the files of s; the first look is after c.Every. A
// store has one reloader in its life: a second panics. It ends with [Reloader.Stop],
// or with the reactor, if [Reloader.Move] does not have another one go on.
func NewReloader(r *reactor.Reactor, s *certs.Store, c *ReloadConfig) *Reloader {
	if c == nil {
		c = new(ReloadConfig)
	}
	l := &Reloader{r: r, cfg: *c, log: c.Logger}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.cfg.Every = cmp.Or(c.Every, defaultEvery)
	l.watch = certs.Watch(s, cmp.Or(c.Settle, defaultSettle))
	l.begin()
	return l
}

// begin begins the watch on l.r.
func (l *Reloader) begin() {
	l.next.Init(l.r, l.look)
	l.waitForNext()
	all := reloadersOf(l.r)
	all.list = append(all.list, l)
}

// reloaders are those of a reactor that have not been stopped, in the order of their making.
type reloaders struct{ list []*Reloader }

func reloadersOf(r *reactor.Reactor) *reloaders {
	return reactor.Shared(r, func() *reloaders { return new(reloaders) })
}

// CheckAll calls Check of every Reloader on r that has not been stopped, and returns how many
// there are. A server does so on SIGHUP, as package whorl does. It is for the loop's goroutine.
func CheckAll(r *reactor.Reactor) int {
	all := reloadersOf(r).list
	for _, l := range all {
		l.Check()
	}
	return len(all)
}

// Move has r go on with the watch, because the loop that did it is lost. A look that was in progress is forgotten. It is for r's goroutine, when
// nothing of l is in progress on the former loop. After Stop it does nothing.
func (l *Reloader) Move(r *reactor.Reactor) {
	if l.state == reloadStopped || l.r == r {
		return
	}
	l.r, l.state = r, reloadIdle
	l.ahead = max(0, l.now-r.Now())
	l.next = reactor.DelayedCall{}
	l.begin()
}

// Check looks at the files now, as on a signal; what has changed is used after
// Settle. During a look it asks for one more. After Stop it does nothing.
func (l *Reloader) Check() {
	switch l.state {
	case reloadIdle:
		l.look()
	case reloadLooking:
		l.state = reloadLookingTwice
	}
}

// Stop ends the watch. Nothing changes after it, also by a look in progress. A second
// call does nothing.
func (l *Reloader) Stop() {
	l.state = reloadStopped
	l.next.Cancel()
	all := reloadersOf(l.r)
	all.list = slices.DeleteFunc(all.list, func(x *Reloader) bool { return x == l })
}

// Stats is what has been counted so far.
func (l *Reloader) Stats() ReloadStats { return l.stats }

// waitForNext waits for the next look.
func (l *Reloader) waitForNext() {
	if l.cfg.Every > 0 {
		l.next.Reset(l.cfg.Every)
	}
}

// look has the files read.
func (l *Reloader) look() {
	l.state = reloadLooking
	l.next.Cancel()
	l.now = l.r.Now() + l.ahead
	now := l.now
	readFiles(l.r, func() *certs.Findings {
		l.files.Lock()
		defer l.files.Unlock()
		return l.watch.Look(now)
	}, l.lookDone)
}

// lookDone applies the result of a look, on the loop.
func (l *Reloader) lookDone(f *certs.Findings, err error) {
	if l.state == reloadStopped {
		return
	}
	again := l.state == reloadLookingTwice
	l.state = reloadIdle
	l.stats.Checks++
	var changes []certs.Change
	if err != nil { // a panic, or the reactor is at its end
		l.log.Error("certificates not checked", slog.Any("err", err))
	} else {
		changes = l.apply(f)
	}
	in, soon := l.watch.Next(l.r.Now() + l.ahead)
	switch {
	case again:
		l.next.Reset(0)
	case soon && err == nil:
		l.next.Reset(in)
	default:
		l.waitForNext()
	}
	for _, c := range changes {
		l.report(c)
	}
}

// apply applies the result of a look, unless one of a lost loop is in progress: then the next look finds it again.
func (l *Reloader) apply(f *certs.Findings) []certs.Change {
	if !l.files.TryLock() {
		return nil
	}
	defer l.files.Unlock()
	return l.watch.Apply(f)
}

func (l *Reloader) report(c certs.Change) {
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
		l.log.LogAttrs(context.Background(), slog.LevelInfo, "certificate loaded", path, slog.String("cert", certs.Describe(c.Cert)))
	}
	if l.cfg.Changed != nil && l.state != reloadStopped {
		l.cfg.Changed(c)
	}
}
