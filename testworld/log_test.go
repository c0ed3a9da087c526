package testworld_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// ending is a test that ends when the body of another one has.
type ending struct {
	watched
	cleanups []func()
}

func (e *ending) Cleanup(fn func()) { e.cleanups = append(e.cleanups, fn) }

// ended are the failures of body and of its end.
func ended(t *testing.T, body func(t testing.TB)) []string {
	e := &ending{watched: watched{TB: t}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for _, fn := range slices.Backward(e.cleanups) {
				fn()
			}
		}()
		body(e)
	}()
	<-done
	return e.failures
}

// TST-20: what is logged in a test can be listed, with attributes and groups, and the observer goes with the test.
func TestTST20Log(t *testing.T) {
	var log *testworld.Log
	var logger *slog.Logger
	failures := ended(t, func(t testing.TB) {
		log = testworld.NewLog(t)
		logger = log.Logger().With("a", 1).WithGroup("g").With("b", 2)
		logger.Debug("one")
		logger.Info("two", "c", 3)
		log.Logger().Warn("three")
		var texts []string
		for _, r := range log.Records() {
			texts = append(texts, testworld.Text(r))
		}
		want := []string{"DEBUG one a=1 g.b=2", "INFO two a=1 g.b=2 g.c=3", "WARN three"}
		if !slices.Equal(texts, want) {
			t.Errorf("TST-20: %q, want %q", texts, want)
		}
		if found := log.Find("c=3"); len(found) != 1 || found[0].Message != "two" || found[0].Level != slog.LevelInfo {
			t.Errorf("TST-20: found %v", found)
		}
		if log.Records()[2].Message != "three" {
			t.Error("TST-20: Find has changed the list")
		}
	})
	if len(failures) != 0 {
		t.Error(failures)
	}
	logger.Error("after the end")
	if n := len(log.Records()); n != 0 {
		t.Errorf("TST-20: %d records after the end of the test", n)
	}
}

// TST-25: an error that is logged fails the test, unless it was taken or expected. One that was expected and did not come fails
// it too.
func TestTST25Errors(t *testing.T) {
	one := func(words string, body func(log *testworld.Log)) {
		t.Helper()
		got := strings.Join(ended(t, func(t testing.TB) { body(testworld.NewLog(t)) }), "; ")
		if words == "" && got != "" || !strings.Contains(got, words) {
			t.Errorf("TST-25: failures %q, want %q", got, words)
		}
	}
	one("", func(log *testworld.Log) { // one error may be expected in two ways
		log.Expect("could not")
		log.Expect("accept")
		log.Logger().Error("could not accept")
	})
	one("not expected it: ERROR broken x=1", func(log *testworld.Log) { log.Logger().Error("broken", "x", 1) })
	one("", func(log *testworld.Log) { log.Logger().Warn("not so bad") })
	one("", func(log *testworld.Log) {
		log.Logger().Error("broken")
		log.Logger().Error("broken", "x", 2)
		if n := len(log.Take("x=2")) + len(log.Take("broken")); n != 2 {
			t.Errorf("TST-25: %d errors were taken", n)
		}
	})
	one("", func(log *testworld.Log) {
		log.Expect("x=3")
		log.Logger().Error("broken", "x", 3)
		log.Logger().Error("broken", "x", 3)
	})
	one(`no error was logged with "x=4"`, func(log *testworld.Log) { log.Expect("x=4") })
}

// TST-25: so it is for the reactors of the worlds: an error that the reactor logs, and a panic in a callback, fail the
// test, also at its end. A Logger or Panicked of the test's own says that it expects them.
func TestTST25Reactors(t *testing.T) {
	w := testworld.Simulation()
	broken := func(t testing.TB, c reactor.Config) {
		left := 1
		f := &testworld.Faults{Wait: func() error {
			if left--; left >= 0 {
				return kernel.ErrNoResources
			}
			return nil
		}}
		testworld.Turns(t, testworld.New(t, f.Wrap(w.Open(t)), c), 2)
	}
	panicking := func(t testing.TB, c reactor.Config) {
		r := w.New(t, c)
		r.Post(func() { panic(errors.New("planted")) })
		r.AddTrigger(reactor.After, reactor.Shutdown, func() { panic("at the end") })
		testworld.Turns(t, r, 1)
	}
	for _, c := range []struct {
		name string
		body func(t testing.TB)
		want []string
	}{
		{"an error", func(t testing.TB) { broken(t, reactor.Config{}) }, []string{"the kernel cannot wait"}},
		{"an error that is expected", func(t testing.TB) {
			log := testworld.NewLog(t)
			log.Expect("the kernel cannot wait")
			broken(t, reactor.Config{Logger: log.Logger()})
		}, nil},
		{"panics", func(t testing.TB) { panicking(t, reactor.Config{}) }, []string{"planted", "at the end"}},
		{"panics that are expected", func(t testing.TB) {
			panicking(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
		}, nil},
	} {
		got := ended(t, c.body)
		ok := len(got) == len(c.want)
		for i := range min(len(got), len(c.want)) {
			ok = ok && strings.Contains(got[i], c.want[i])
		}
		if !ok {
			t.Errorf("TST-25: %s: %q, want %q", c.name, got, c.want)
		}
	}
}
