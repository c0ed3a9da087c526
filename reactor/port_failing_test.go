package reactor_test

import (
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// lastErrno is the highest errno of Linux, and more than those of other systems.
const lastErrno = 133

// failingGate is a gate with a client in its queue, whose accepts all fail with err.
func failingGate(t *testing.T, w testworld.World, err error, faults *testworld.Faults) *gate {
	t.Helper()
	g := &gate{service: &service{}, w: w, faults: faults, log: &journal{}}
	g.r = testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{Logger: slog.New(g.log)})
	g.port = listen(t, g.r, g, nil)
	g.log.lines = nil
	g.crowd(t, 1)
	faults.Accept = func() error { return err }
	return g
}

// TCP-18 TCP-19 TCP-20: whatever accept fails with for ever, the loop does not spin, the log
// does not fill up, and the port accepts again when the failure ends.
func TestAcceptFailsForEver(t *testing.T) {
	notWrapped(t)
	noReserve := func() error { return kernel.ErrTooManyFiles }
	var errs []error
	for n := range syscall.Errno(lastErrno) {
		errs = append(errs, native.SysError(kernel.OpAccept, n+1))
	}
	worlds(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // most of the time is waiting
		// All worlds together have fewer descriptors than the 1024 that select can take.
		for some := range slices.Chunk(errs, 20) {
			testFailsForEver(t, w, some, nil)
		}
		testFailsForEver(t, w, []error{native.SysError(kernel.OpAccept, syscall.EMFILE)}, noReserve)
	})
}

func testFailsForEver(t *testing.T, w testworld.World, errs []error, reserve func() error) {
	const span = 220 * time.Millisecond
	var gates []*gate
	var rs []*reactor.Reactor
	for _, err := range errs {
		g := failingGate(t, w, err, &testworld.Faults{Reserve: reserve})
		gates, rs = append(gates, g), append(rs, g.r)
	}
	turn := func() {
		for _, r := range rs {
			if err := r.Turn(time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
	}
	begun := func() bool {
		return !slices.ContainsFunc(gates, func(g *gate) bool { return g.faults.Calls["Accept"] == 0 })
	}
	testworld.Until(t, begun, rs...)
	for end := rs[0].Now() + span; rs[0].Now() < end; {
		turn()
	}
	for i, g := range gates {
		// Up to 16 failures in a row may each be about one client. Then there is one for each
		// rest of 50 ms, and a try with the reserve.
		calls, events := g.faults.Calls["Accept"], g.r.Stats().Events
		if calls > 16+2*6 || events > 16+6 || g.port.Stats().Failed == 0 || !g.port.Listening() {
			t.Errorf("%v for %v: %d accepts, %d events, %+v", errs[i], span, calls, events, g.port.Stats())
		}
		if n := len(g.log.with("could not accept new connection")); n != 1 {
			t.Errorf("%v for %v: %d records: %q", errs[i], span, n, g.log.lines[:min(3, n)])
		}
		g.faults.Accept = nil
	}
	testworld.Until(t, func() bool {
		return !slices.ContainsFunc(gates, func(g *gate) bool { return len(g.ends) == 0 }) // more, if a client of another test had the number
	}, rs...)
	for _, g := range gates {
		g.r.Close()
	}
}

// The log says how many failures it did not tell of, at most once in a second.
func TestAcceptFailureLogIsBounded(t *testing.T) {
	notWrapped(t)
	t.Parallel() // with the others that mostly wait
	worlds(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // most of the time is waiting
		g := failingGate(t, w, kernel.ErrPermission, &testworld.Faults{})
		start := g.r.Now()
		untilAlone(t, g.r, func() bool { return len(g.log.with("could not accept")) == 2 })
		if d := g.r.Now() - start; d < time.Second {
			t.Errorf("two records in %v", d)
		}
		if len(g.log.with("unlogged=")) != 1 {
			t.Errorf("log %q", g.log.lines)
		}
	})
}

// TCP-21: if the client has gone when the reserve is given up for it, the port says nothing and does
// not rest. If accepting fails for another reason, the log has that, and the port rests.
func TestOverflowOfNobody(t *testing.T) {
	for _, then := range []error{kernel.ErrAgain, kernel.ErrNoResources} {
		worlds(t, func(t *testing.T, w testworld.World) {
			g := newGate(t, w)
			results := []error{kernel.ErrTooManyFiles, then}
			g.faults.Accept = func() (err error) {
				if len(results) > 0 {
					err, results = results[0], results[1:]
				}
				return err
			}
			g.log.lines = nil
			g.crowd(t, 1)
			until(t, g.r, func() bool { return len(results) == 0 })
			records, rests := g.log.with("could not accept"), g.r.Stats().Pending
			if then == kernel.ErrAgain && (len(records) != 0 || rests != 0) {
				t.Errorf("nobody is there: %q, %d delayed calls", records, rests)
			}
			if then != kernel.ErrAgain && (len(records) != 1 || !strings.Contains(records[0], then.Error()) || rests != 1) {
				t.Errorf("%v: %q, %d delayed calls", then, records, rests)
			}
			until(t, g.r, func() bool { return len(g.ends) == 1 })
		})
	}
}

// TCP-23: a reserve that could not be taken back is taken when the port goes on after a rest, and
// descriptors are there again. The log is told of it at a limited rate.
func TestReserveComesBack(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		g := newGate(t, w)
		gone := true
		g.faults.Reserve = func() error {
			if gone {
				return kernel.ErrTooManyFiles
			}
			return nil
		}
		full := 5
		g.faults.Accept = func() error {
			if full--; full >= 0 {
				return kernel.ErrTooManyFiles
			}
			return nil
		}
		g.log.lines = nil
		g.crowd(t, 1)
		until(t, g.r, func() bool { return full <= 0 })
		if n := len(g.log.with("reserve")); n != 1 {
			t.Errorf("%d records about the reserve: %q", n, g.log.lines)
		}
		gone = false
		until(t, g.r, func() bool { return len(g.ends) == 1 })
		full = 1
		g.crowd(t, 1)
		until(t, g.r, func() bool { return g.port.Stats().Refused == 1 }) // which takes the reserve
	})
}
