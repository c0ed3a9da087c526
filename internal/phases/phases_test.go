package phases_test

import (
	"slices"
	"testing"

	"github.com/whorl-go/whorl/internal/phases"
)

// loop is an event, what has been called, and what was posted.
type loop struct {
	t     *testing.T
	e     phases.Event
	said  []string
	posts []func()
}

func newLoop(t *testing.T) *loop {
	l := &loop{t: t}
	l.e.Post = func(fn func()) { l.posts = append(l.posts, fn) }
	l.e.Call = func(_ phases.Phase, fn func()) (ok bool) {
		defer func() { ok = recover() == nil }()
		fn()
		return
	}
	l.e.Builtin = func() { l.say("builtin") }
	l.e.Ended = func() { l.say("ended") }
	return l
}

func (l *loop) say(what string) { l.said = append(l.said, what) }

// add adds a trigger that says what, does more, and is done.
func (l *loop) add(p phases.Phase, what string, more ...func()) *phases.Trigger {
	return l.e.Add(p, func(done func()) {
		l.say(what)
		for _, fn := range more {
			fn()
		}
		done()
	})
}

// wait adds a Before trigger that is done when the result is called.
func (l *loop) wait(what string) (done func()) {
	var d func()
	l.e.Add(phases.Before, func(done func()) { l.say(what); d = done })
	return func() { d() }
}

func (l *loop) turn() {
	posts := l.posts
	l.posts = nil
	for _, fn := range posts {
		fn()
	}
}

// is compares what has been said since the last time.
func (l *loop) is(want ...string) {
	l.t.Helper()
	if !slices.Equal(l.said, want) {
		l.t.Errorf("said %q, want %q", l.said, want)
	}
	l.said = nil
}

func TestOrder(t *testing.T) {
	l := newLoop(t)
	l.add(phases.After, "after")
	l.add(phases.During, "during", func() { l.add(phases.Before, "too late"); l.add(phases.During, "during 2") })
	l.add(phases.Before, "before", func() { l.add(phases.Before, "before 3"); l.e.Fire() })
	l.add(phases.Before, "before 2", func() { panic("counts as done") })
	l.e.Fire()
	l.is("before", "before 2", "before 3", "builtin", "during", "during 2", "after", "ended")
	l.turn() // what done posted comes after all is over
	l.is()
	l.e.Fire()
	l.is("too late", "builtin", "ended")
}

func TestWaiting(t *testing.T) {
	l := newLoop(t)
	l.add(phases.During, "during")
	first, second := l.wait("first"), l.wait("second")
	l.e.Fire()
	l.is("first", "second")
	second()
	second()
	l.turn()
	l.e.Fire()
	l.is()
	l.add(phases.Before, "added while it waits")
	first()
	l.is()
	l.turn()
	l.is("added while it waits", "builtin", "during", "ended")
	l.turn()
	l.is()
}

func TestRemove(t *testing.T) {
	l := newLoop(t)
	var late, ran *phases.Trigger
	removed := l.add(phases.Before, "removed")
	ran = l.add(phases.Before, "before", func() {
		if got := l.e.Remove(late); got != phases.Removed {
			t.Errorf("in a firing: %v", got)
		}
		if got := l.e.Remove(ran); got != phases.Running {
			t.Errorf("of itself: %v", got)
		}
	})
	late = l.add(phases.During, "late")
	during := l.add(phases.During, "during")
	if got := l.e.Remove(removed); got != phases.Removed {
		t.Errorf("before the firing: %v", got)
	}
	l.e.Fire()
	l.turn()
	l.is("before", "builtin", "during", "ended")
	for what, tr := range map[string]*phases.Trigger{"removed": removed, "ran": ran, "late": late, "during": during} {
		if got := l.e.Remove(tr); got != phases.Gone {
			t.Errorf("%s, after the firing: %v", what, got)
		}
	}
}

// Reset breaks a firing off. A done of that firing does nothing to the next one.
func TestReset(t *testing.T) {
	l := newLoop(t)
	stale := l.wait("wait")
	l.add(phases.During, "during", l.e.Reset)
	l.add(phases.During, "during 2")
	l.e.Fire()
	l.is("wait")
	l.e.Reset()
	l.turn()
	l.is()

	fresh := l.wait("wait again")
	l.e.Fire()
	l.is("wait again")
	stale()
	l.turn()
	l.is()
	fresh()
	l.turn()
	l.is("builtin", "during") // Reset in a trigger: what has not run stays
	l.e.Fire()
	l.is("builtin", "during 2", "ended")
}

func TestFireWithoutWaiting(t *testing.T) {
	l := newLoop(t)
	late := l.wait("wait")
	l.add(phases.During, "during")
	l.e.FireWithoutWaiting()
	l.is("wait", "builtin", "during", "ended")
	l.e.Fire()
	l.is("builtin", "ended")

	last := l.wait("the next firing")
	l.e.Fire()
	late() // it was of the first firing
	l.turn()
	l.is("the next firing")
	last()
	l.turn()
	l.is("builtin", "ended")

	done := l.wait("wait")
	l.add(phases.After, "after")
	l.e.Fire()
	l.is("wait")
	l.wait("added while it waits")
	l.e.FireWithoutWaiting()
	l.is("added while it waits", "builtin", "after", "ended")
	done()
	l.turn()
	l.is()

	l.e.FireWithoutWaiting()
	l.is("builtin", "ended")
}
