package reactor_test

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// turnFor turns r for d of its clock.
func turnFor(t *testing.T, r *reactor.Reactor, d time.Duration) {
	t.Helper()
	for end := r.Now() + d; r.Now() < end; {
		if err := r.Turn(end - r.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// the first records come at once, the others are counted, the last of them comes when the
// second is over, and nothing comes after it. A limit that left nothing out sets no delayed call.
func TestLogLimit(t *testing.T) {
	notWrapped(t)
	t.Parallel() // with the others that mostly wait
	for _, perSecond := range []int{0, 1, 3} {
		worlds(t, func(t *testing.T, w testworld.World) {
			t.Parallel() // most of the time is waiting
			r := w.New(t, reactor.Config{})
			log := &journal{}
			l := &reactor.LogLimit{PerSecond: perSecond}
			say := func(from, to int) {
				for i := from; i < to; i++ {
					l.Log(r, slog.New(log), slog.LevelWarn, "seen", slog.Int("i", i))
				}
			}
			first := max(perSecond, 1)
			want := []string{"WARN seen i=0", "WARN seen i=1", "WARN seen i=2"}[:first:first]
			began := r.Now()
			say(0, first)
			if n := len(r.DelayedCalls()); n != 0 {
				t.Errorf("%d delayed calls, and nothing was left out", n)
			}
			say(first, 100)
			sameEvents(t, log.lines, want...)
			untilAlone(t, r, func() bool { return len(log.lines) > first })
			if d := r.Now() - began; d < time.Second {
				t.Errorf("more than %d records in %v", first, d)
			}
			sameEvents(t, log.lines, append(want, fmt.Sprintf("WARN seen i=99 unlogged=%d", 99-first))...)
			if n := len(r.DelayedCalls()); n != 0 {
				t.Errorf("%d delayed calls, and nothing is left out", n)
			}
			// The record at the end of the second counts in the next one.
			log.lines = nil
			say(0, first+1)
			if len(log.lines) != first-1 {
				t.Errorf("%q in the next second, after the first", log.lines)
			}
		})
	}
}

// each limit has its own second, and none waits for another's.
func TestLogLimitsAreApart(t *testing.T) {
	for _, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue // exact times
		}
		r := w.New(t, reactor.Config{})
		var at []string
		log := slog.New(&journal{heard: func(line string) { at = append(at, fmt.Sprint(r.Now().Truncate(time.Millisecond), " ", line)) }})
		var a, b reactor.LogLimit
		say := func(l *reactor.LogLimit, msg string, n int) {
			for range n {
				l.Log(r, log, slog.LevelInfo, msg)
			}
		}
		start := r.Now()
		stamp := func(d time.Duration) string { return fmt.Sprint((start + d).Truncate(time.Millisecond)) }
		say(&a, "a", 3)
		turnFor(t, r, 400*time.Millisecond)
		say(&b, "b", 2)
		turnFor(t, r, 3*time.Second)
		sameEvents(t, at, stamp(0)+" INFO a", stamp(400*time.Millisecond)+" INFO b",
			stamp(time.Second)+" INFO a unlogged=1", stamp(1400*time.Millisecond)+" INFO b")
	}
}

// what is left out when the reactor stops is written, and a log that is not there or
// not interested costs nothing.
func TestLogLimitAtTheEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		log := &journal{}
		var l, quiet reactor.LogLimit
		for i := range 5 {
			quiet.Log(r, nil, slog.LevelError, "nobody")
			quiet.Log(r, slog.New(slog.DiscardHandler), slog.LevelError, "nobody")
			if n := len(r.DelayedCalls()); i == 0 && n != 0 {
				t.Errorf("%d delayed calls", n)
			}
			l.Log(r, slog.New(log), slog.LevelInfo, "seen", slog.Int("i", i))
		}
		if n := len(r.DelayedCalls()); n != 1 {
			t.Errorf("%d delayed calls", n)
		}
		r.Close()
		sameEvents(t, log.lines, "INFO seen i=0", "INFO seen i=4 unlogged=3")
	})
}

// TCP-21, X-8: a flood of clients for whom there is no descriptor makes one record at once and
// one at the end of the second. All of them are counted.
func TestAcceptOverflowLogIsBounded(t *testing.T) {
	notWrapped(t)
	const clients = 230
	worlds(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // most of the time is waiting
		g := newGate(t, w)
		full := true
		g.faults.Accept = func() error {
			if full {
				full = false
				return kernel.ErrTooManyFiles
			}
			return nil
		}
		g.faults.Reserve = func() error { full = true; return nil }
		g.log.lines = nil
		g.crowd(t, clients)
		began := g.r.Now()
		until(t, g.r, func() bool { return g.port.Stats().Refused == clients })
		refused := func() []string {
			return g.log.with("WARN closed a connection for want of descriptors", "peer=127.0.0.1:")
		}
		if n := len(refused()); n != 1 && g.r.Now()-began < time.Second {
			t.Errorf("%d records at once", n)
		}
		untilAlone(t, g.r, func() bool { return len(refused()) == 2 })
		if len(g.log.lines) != 2 || len(g.log.with(fmt.Sprintf("unlogged=%d", clients-2))) != 1 {
			t.Errorf("log %q", g.log.lines)
		}
		if s, all := g.port.Stats(), g.r.Stats(); s.Accepted != clients || all.Accepted != clients || all.Refused != clients {
			t.Errorf("%+v, %+v", s, all)
		}
	})
}

// every panic is counted and given to Config.Panicked. The log has ten a second of
// each protocol or factory, with their stacks.
func TestPanicLogIsBounded(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		g.build = func(kernel.Addr) reactor.Protocol { panic(fmt.Sprint("no ", g.panics)) }
		g.crowd(t, 100)
		until(t, g.r, func() bool { return g.panics == 100 })
		if n := g.r.Stats().Panics; n != 100 {
			t.Errorf("%d panics counted", n)
		}
		logged := g.log.with("ERROR panic in=gate", "loglimit_test.go") // of the stack
		if len(logged) != 10 || len(g.log.with("value=no 0 ")) != 1 {
			t.Errorf("%d records: %.200q", len(logged), g.log.lines)
		}
		g.r.Close()
		if len(g.log.with("ERROR panic in=gate value=no 99 ", "unlogged=89")) != 1 {
			t.Errorf("the end of the log: %.200q", g.log.lines[len(g.log.lines)-1])
		}
	})
}

// moody is a factory with another name at each look, which always panics.
type moody struct{ looks, built int }

func (m *moody) LogPrefix() string { m.looks++; return fmt.Sprint("moody ", m.looks) }

func (m *moody) BuildProtocol(kernel.Addr) reactor.Protocol { m.built++; panic("never") }

// names that a program makes up without end do not take memory without end, nor the
// limit away.
func TestLogKindsAreBounded(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := &journal{}
		r := testworld.New(t, w.Open(t), reactor.Config{Logger: slog.New(log), Panicked: func(*reactor.PanicError) {}})
		f := new(moody)
		p := listen(t, r, f, nil)
		const clients = 400
		for range clients {
			w.Peer(t, p.Addr())
		}
		began := r.Now()
		until(t, r, func() bool { return f.built == clients })
		if n := len(log.with("ERROR panic in=moody")); n != 256+10 && r.Now()-began < time.Second {
			t.Errorf("%d records of %d panics", n, clients)
		}
	})
}

// toggler is a factory that is in use for each connection, and cannot be stopped.
type toggler struct{ service }

func (f *toggler) StopFactory() error {
	f.service.StopFactory()
	return fmt.Errorf("stop %d", len(f.events))
}

// a client's factory that is started and stopped for each connection does not fill
// the log.
func TestFactoryLogIsBounded(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := &journal{}
		r := testworld.New(t, w.Open(t), reactor.Config{Logger: slog.New(log)})
		at := listen(t, r, &service{}, nil).Addr()
		log.lines = nil
		began := r.Now()
		var all []*toggler
		for range 30 {
			f := &toggler{}
			f.build = func(kernel.Addr) reactor.Protocol { return nil }
			all = append(all, f)
			r.Dial(at, f, nil, nil)
		}
		until(t, r, func() bool {
			return !slices.ContainsFunc(all, func(f *toggler) bool { return !slices.Contains(f.events, "stop") })
		})
		if r.Now()-began > time.Second {
			t.Skip("it took more than a second")
		}
		for what, want := range map[string]int{"INFO starting factory factory=toggler": 10, "INFO stopping factory factory=toggler": 10, "ERROR stopping a factory": 1} {
			if n := len(log.with(what)); n != want {
				t.Errorf("%d times %q", n, what)
			}
		}
	})
}
