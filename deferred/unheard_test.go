package deferred_test

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"testing"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// records are those of a logger, as texts.
type records struct{ all []string }

func (l *records) logger() *slog.Logger                     { return slog.New(l) }
func (l *records) Enabled(context.Context, slog.Level) bool { return true }
func (l *records) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *records) WithGroup(string) slog.Handler            { return l }
func (l *records) Handle(_ context.Context, rec slog.Record) error {
	text := rec.Message
	rec.Attrs(func(a slog.Attr) bool { text += " " + a.String(); return true })
	l.all = append(l.all, text)
	return nil
}

func turn(t *testing.T, r *reactor.Reactor) {
	t.Helper()
	if err := r.Turn(0); err != nil {
		t.Fatal(err)
	}
}

// DEF-13: a failure that nobody has handled by the next turn is logged, with the place where it was made.
func TestUnheard(t *testing.T) {
	for name, fail := range map[string]func(r *reactor.Reactor){
		"Failed": func(r *reactor.Reactor) { deferred.Failed[int](r, errTest) },
		"Fail": func(r *reactor.Reactor) {
			deferred.New[int](r, nil).Fail(errTest)
		},
		"Then": func(r *reactor.Reactor) {
			d := deferred.New[int](r, nil)
			deferred.Then(d, func(int) (int, error) { return 0, errTest })
			d.Succeed(1)
		},
		"From": func(r *reactor.Reactor) {
			deferred.From(r, func(done func(int, error)) func() { done(0, errTest); return nil })
		},
		"All": func(r *reactor.Reactor) { deferred.Race(r, deferred.Failed[int](r, errTest)) },
	} {
		log := new(records)
		r := simulated(t, reactor.Config{Logger: log.logger()})
		fail(r)
		if len(log.all) > 0 {
			t.Errorf("DEF-13: %s: before the turn: %q", name, log.all)
		}
		turn(t, r)
		turn(t, r)
		want := regexp.MustCompile(`^a failure that nobody has handled err=.*test made=.*/deferred/unheard_test.go:\d+$`)
		if len(log.all) != 1 || !want.MatchString(log.all[0]) {
			t.Errorf("DEF-13: %s: %q", name, log.all)
		}
	}
}

// DEF-13: what was handled by then, taken as handled, or given up is not logged. After the report it can still be handled.
func TestHeard(t *testing.T) {
	log := new(records)
	r := simulated(t, reactor.Config{Logger: log.logger()})
	deferred.Failed[int](r, errTest).Ignore()
	deferred.Failed[int](r, errTest).Done(func(int, error) {})
	deferred.Failed[int](r, errTest).Outcome()
	deferred.Failed[int](r, errTest).Catch(func(error) (int, error) { return 0, nil })
	deferred.All(r, deferred.Failed[int](r, errTest))
	late := deferred.Failed[int](r, errTest)
	r.Post(func() { late.Ignore() }) // comes after the report was posted
	deferred.New[int](r, nil).Cancel()
	early := deferred.New[int](r, nil)
	early.Ignore()
	early.Fail(errTest)
	turn(t, r)
	if len(log.all) != 1 {
		t.Errorf("DEF-13: %q", log.all)
	}
	n := 0
	late.Done(func(_ int, err error) { n++ })
	if n != 1 {
		t.Error("a failure that was reported is not told any more")
	}
	r = simulated(t, reactor.Config{Logger: log.logger()})
	r.Close()
	deferred.Failed[int](r, errTest) // no turn will come
	if len(log.all) != 2 {
		t.Errorf("DEF-13: on a reactor that has stopped: %q", log.all)
	}
}

// DEF-13: a failure of which being given up is a part is logged all the same. One that is nothing else is not.
func TestUnheardAmongCancelled(t *testing.T) {
	log := testworld.NewLog(t)
	r := simulated(t, reactor.Config{Logger: log.Logger()})
	real, given := deferred.New[int](r, nil), deferred.New[int](r, nil)
	deferred.First(r, real, given)
	real.Fail(errTest)
	given.Cancel()
	testworld.Turns(t, r, 2)
	if n := len(log.Take(errTest.Error())); n != 1 {
		t.Errorf("DEF-13: logged %d times", n)
	}
	deferred.Race(r, deferred.New[int](r, nil), deferred.New[int](r, nil)).Cancel()
	deferred.Failed[int](r, fmt.Errorf("x: %w", reactor.ErrCancelled))
	testworld.Turns(t, r, 2) // the log fails the test if there is more
}
