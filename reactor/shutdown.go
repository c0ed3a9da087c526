package reactor

import (
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"time"

	"github.com/whorl-go/whorl/internal/phases"
	"github.com/whorl-go/whorl/kernel"
)

// A shutdown waits for two things: in the phase Before for functions of AddWaitTrigger, while
// the loop turns, and in the phase During for blocking work, while the loop only calls what
// is posted. Both have one limit together, Config.ShutdownTimeout, and StopWaiting ends both.

const (
	defaultShutdownTimeout = time.Minute
	// awaitedEvery is how often the log names what a shutdown waits for.
	awaitedEvery = 5 * time.Second
)

// shutdown is the waiting of a shutdown.
type shutdown struct {
	until  time.Duration // when it waits no longer, by the reactor's clock; 0: it has not begun
	next   time.Duration // when the log is next told
	cut    bool          // it waits no longer, because somebody said so
	asking DelayedCall   // in the phase Before: looks at until and next
	err    error         // ErrUnfinished, if it gave up something
}

func (d *shutdown) init(r *Reactor) { d.asking.Init(r, r.stillWaiting) }

// forget ends the waiting without an end, because of a crash: the next shutdown has all its time.
func (d *shutdown) forget() {
	d.asking.Cancel()
	d.until, d.cut, d.err = 0, false, nil
}

// limit starts the time that the shutdown may wait, unless it has started.
func (d *shutdown) limit(r *Reactor) {
	if d.until > 0 {
		return
	}
	now, limit := r.Now(), r.cfg.ShutdownTimeout
	if limit == 0 {
		limit = defaultShutdownTimeout
	}
	d.until, d.next = kernel.Forever, after(now, awaitedEvery)
	if limit > 0 {
		d.until = after(now, limit)
	}
}

// suspend has the waiting last until resume, which starts its time. It is called in the phase Before.
func (d *shutdown) suspend(r *Reactor) {
	d.until, d.next = kernel.Forever, after(r.Now(), awaitedEvery)
}

// resume ends what suspend has begun.
func (d *shutdown) resume() {
	d.asking.Cancel()
	d.until = 0
}

// over tells whether the shutdown waits no longer.
func (d *shutdown) over(r *Reactor) bool { return d.cut || r.Now() >= d.until }

// due tells whether the log is to be told, and if so, when it is next.
func (d *shutdown) due(r *Reactor) bool {
	now := r.Now()
	if now < d.next {
		return false
	}
	d.next = after(now, awaitedEvery)
	return true
}

// StopWaiting ends the waiting of a shutdown: for functions of AddWaitTrigger, and for blocking
// work. The shutdown goes on without them, and Run returns ErrUnfinished. It does the same to
// a startup that waits, if Stop was called. On a reactor that was not asked to stop it does
// nothing. It may be called from any goroutine.
func (r *Reactor) StopWaiting() {
	r.Post(func() {
		switch life(r.life.Load()) {
		case lifeStartingStopPending, lifeRunningStopPending, lifeStopping, lifeEnding:
			r.shutdown.cut = true
			r.awaitEnd()
		}
	})
}

// awaited returns the event whose phase Before the end of the reactor waits for, or nil.
func (r *Reactor) awaited() *phases.Event {
	name := ""
	switch life(r.life.Load()) {
	case lifeStartingStopPending:
		name = Startup
	case lifeStopping:
		name = Shutdown
	default:
		return nil
	}
	if e := r.event(name); len(e.Waiting()) > 0 {
		return e
	}
	return nil
}

// awaitEnd limits the waiting of the phase Before, if it waits. It is called in each turn of
// that phase.
func (r *Reactor) awaitEnd() {
	d, e := &r.shutdown, r.awaited()
	if e == nil {
		d.asking.Cancel()
		return
	}
	d.limit(r)
	switch {
	case d.over(r):
		d.asking.Cancel()
		r.Post(r.goOn)
	case !d.asking.Active():
		d.asking.Reset(min(d.until, d.next) - r.Now())
	}
}

// stillWaiting is called when the phase Before has waited for some time.
func (r *Reactor) stillWaiting() {
	if e := r.awaited(); e != nil && r.shutdown.due(r) {
		r.log.Warn("the shutdown waits", slog.String("for", awaitedTriggers(e)))
	}
	r.awaitEnd()
}

// goOn ends the phase Before without the functions that have not answered.
func (r *Reactor) goOn() {
	if e := r.awaited(); e != nil {
		r.giveUp(awaitedTriggers(e))
		e.FireWithoutWaiting()
	}
}

// giveUp notes what the shutdown does not wait for. It is called for wait triggers, and after them for
// blocking work.
func (r *Reactor) giveUp(what string) {
	r.log.Warn("the shutdown no longer waits", slog.String("for", what))
	if d := &r.shutdown; d.err == nil {
		d.err = fmt.Errorf("%w: for %s", ErrUnfinished, what)
	} else {
		d.err = fmt.Errorf("%w, and for %s", d.err, what)
	}
}

// joinWorkers is the last step in the During phase of shutdown. It returns when running and
// queued work is finished, or given up. Meanwhile it runs posted functions, so that work that
// waits for the loop, in Ask, gets its answer (THR-16, THR-17).
func (r *Reactor) joinWorkers() {
	d, all := &r.shutdown, r.work.all
	d.asking.Cancel()
	d.limit(r)
	for _, w := range all {
		w.stopped.Store(true)
	}
	if k := r.caps.worker; k != nil && r.work.started {
		k.FinishWork()
	}
	for joined := r.work.quit(r); !joined(); {
		switch r.runPosted(); {
		case joined():
		case d.over(r):
			r.work.giveUp(r)
			return
		case d.due(r):
			r.log.Warn("the shutdown waits", slog.String("for", r.work.awaited()))
		case !r.posts.nonEmpty.Load():
			r.questions.refuseAll()
			r.awaitPost()
		}
	}
	r.runPosted()
}

// awaitPost returns when something is posted, or when the log or the limit of the shutdown is
// due.
func (r *Reactor) awaitPost() {
	d := &r.shutdown
	if r.caps.worker != nil {
		r.posts.await() // no work is left but what was given to Pool directly
		return
	}
	n, err := r.k.Wait(r.ready, r.fallAsleep(min(d.until, d.next)))
	r.afterWait(n, err)
	r.next, r.batch = 0, 0
	if r.waitFailed > 0 {
		d.cut = true // the loop cannot wait any more
	}
}

// awaitedTriggers names the functions of AddWaitTrigger that have not answered.
func awaitedTriggers(e *phases.Event) string {
	var names []string
	for _, fn := range e.Waiting() {
		names = append(names, funcName(fn))
	}
	return "the wait triggers " + listed(names)
}

// listed joins names. It leaves all but the first few out.
func listed(names []string) string {
	const most = 5
	if n := len(names) - most; n > 0 {
		names = append(names[:most:most], fmt.Sprintf("%d others", n))
	}
	return strings.Join(names, ", ")
}

// funcName is the name of the function fn, with its package.
func funcName(fn any) string {
	if f := runtime.FuncForPC(reflect.ValueOf(fn).Pointer()); f != nil {
		return f.Name()
	}
	return "a function"
}
