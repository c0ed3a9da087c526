package deferred_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

var errTest = kernel.Sentinel("test")

// DEF-1: an outcome is given once. A second one, of either kind after either kind, panics.
func TestGivenOnce(t *testing.T) {
	r := simulated(t, reactor.Config{})
	gives := []func(*deferred.Deferred[int]){
		func(d *deferred.Deferred[int]) { d.Succeed(1) },
		func(d *deferred.Deferred[int]) { d.Fail(errTest) },
	}
	for _, first := range gives {
		for _, second := range gives {
			d := deferred.New[int](r, nil)
			n := 0
			d.Done(func(int, error) { n++ })
			first(d)
			if text := panics(t, func() { second(d) }); !strings.Contains(fmt.Sprint(text), "second outcome") || n != 1 {
				t.Errorf("DEF-1: %v, %d calls", text, n)
			}
		}
	}
	d := deferred.New[int](r, nil)
	panics(t, func() { d.Fail(nil) })
	then := deferred.Then(d, func(i int) (int, error) { return i, nil })
	if text := panics(t, func() { then.Succeed(1) }); !strings.Contains(fmt.Sprint(text), "a step or another result gives") {
		t.Error(text)
	}
	panics(t, func() { then.Follow(deferred.Of(r, 1)) })
	panics(t, func() { deferred.New[int](nil, nil) })
}

// DEF-2: each step gets the outcome of the one before. A step may turn an error into a value and back.
func TestSteps(t *testing.T) {
	r := simulated(t, reactor.Config{})
	d := deferred.New[int](r, nil)
	var log []string
	text := deferred.Then(d, func(i int) (string, error) { return fmt.Sprint("v", i), nil })
	failed := deferred.Then(text, func(s string) (string, error) { log = append(log, s); return "", errTest })
	passed := deferred.Then(failed, func(string) (string, error) { t.Error("DEF-2: Then after a failure"); return "", nil })
	caught := passed.Catch(func(err error) (string, error) { return "caught " + err.Error(), nil })
	same := caught.Catch(func(error) (string, error) { t.Error("DEF-2: Catch after a success"); return "", nil })
	last := same.Finally(func() { log = append(log, "finally") })
	last.Done(func(s string, err error) { log = append(log, s, fmt.Sprint(err)) })
	again := caught.Catch(nil).CatchChain(nil)
	deferred.Transform(again, func(s string, err error) *deferred.Deferred[error] {
		log = append(log, "transform "+s)
		return deferred.Failed[error](r, errTest)
	}).Catch(func(err error) (error, error) { return nil, errors.Join(err, errors.ErrUnsupported) }).Done(func(v error, err error) {
		log = append(log, fmt.Sprint(errors.Is(err, errTest), errors.Is(err, errors.ErrUnsupported)))
	})
	d.Succeed(7)
	want := []string{"v7", "finally", "caught test", "<nil>", "transform caught test", "true true"}
	if !slices.Equal(log, want) {
		t.Errorf("DEF-2: %q, want %q", log, want)
	}
}

// DEF-3: a step that is added when the outcome is there runs at once, inside the call.
func TestAtOnce(t *testing.T) {
	r := simulated(t, reactor.Config{})
	n := 0
	deferred.Of(r, 5).Done(func(i int, err error) { n += i })
	if n != 5 {
		t.Errorf("DEF-3: Done: %d", n)
	}
	if o, ok := deferred.Then(deferred.Of(r, 5), func(i int) (int, error) { return i * 2, nil }).Outcome(); !ok || o.Value != 10 || o.Err != nil {
		t.Errorf("DEF-3: Then: %v, %v", o, ok)
	}
	if o, ok := deferred.Failed[int](r, errTest).Outcome(); !ok || o.Err != errTest {
		t.Errorf("DEF-3: %v, %v", o, ok)
	}
	if _, ok := deferred.New[int](r, nil).Outcome(); ok {
		t.Error("an outcome of a result that is not there")
	}
}

// DEF-4: a step that is added inside a step runs after that one has returned, in order and not nested.
func TestAddedInside(t *testing.T) {
	r := simulated(t, reactor.Config{})
	d := deferred.New[int](r, nil)
	var log []string
	d.Done(func(int, error) {
		log = append(log, "a begins")
		d.Done(func(int, error) { log = append(log, "c") })
		deferred.Then(d, func(int) (int, error) { log = append(log, "d"); return 0, nil }).Done(func(int, error) { log = append(log, "after d") })
		log = append(log, "a ends")
	})
	d.Done(func(int, error) { log = append(log, "b") })
	d.Succeed(0)
	if got := strings.Join(log, ","); got != "a begins,a ends,b,c,d,after d" {
		t.Error("DEF-4:", got)
	}
	log = nil
	d.Done(func(int, error) { // it is there
		d.Done(func(int, error) { log = append(log, "2") })
		log = append(log, "1")
	})
	if got := strings.Join(log, ","); got != "1,2" {
		t.Error("DEF-4: on one that is there:", got)
	}
	// The steps of a result that a step gives belong to the chain.
	log = nil
	e := deferred.New[int](r, nil)
	deferred.Then(e, func(int) (int, error) { return 1, nil }).Done(func(int, error) {
		e.Done(func(int, error) { log = append(log, "2") })
		log = append(log, "1")
	})
	e.Succeed(0)
	if got := strings.Join(log, ","); got != "1,2" {
		t.Error("DEF-4: inside the step of a step:", got)
	}
}

// DEF-5: a step that returns another result suspends the chain until that one is there, and takes its outcome over. An error that is taken over counts
// as handled where it came from.
func TestChained(t *testing.T) {
	log := new(records)
	r := simulated(t, reactor.Config{Logger: log.logger()})
	for _, already := range []bool{false, true} {
		inner, bad := deferred.New[string](r, nil), deferred.New[string](r, nil)
		give := func() { inner.Succeed("inner"); bad.Fail(errTest) }
		if already {
			give()
		}
		outer := deferred.New[int](r, nil)
		var got []string
		deferred.Chain(outer, func(int) *deferred.Deferred[string] { return inner }).Done(func(s string, err error) { got = append(got, s) })
		deferred.Chain(outer, func(int) *deferred.Deferred[string] { return bad }).CatchChain(func(err error) *deferred.Deferred[string] {
			return deferred.Of(r, "was "+err.Error())
		}).Done(func(s string, err error) { got = append(got, s) })
		outer.Succeed(1)
		if !already && len(got) > 0 {
			t.Errorf("DEF-5: before the inner one: %q", got)
		}
		if !already {
			give()
		}
		if !slices.Equal(got, []string{"inner", "was test"}) {
			t.Errorf("DEF-5: there already: %v: %q", already, got)
		}
		inner.Done(func(s string, err error) { got = append(got, s) })
		if got[2] != "inner" {
			t.Error("a result that was taken over keeps its outcome")
		}
	}
	d := deferred.New[int](r, nil)
	d.Follow(deferred.Of(r, 3))
	if o, ok := d.Outcome(); !ok || o.Value != 3 {
		t.Errorf("DEF-14: Follow: %v", o)
	}
	turn(t, r)
	if len(log.all) > 0 {
		t.Errorf("DEF-5: an error that was taken over is logged: %q", log.all)
	}
}

// DEF-6: long chains do not deepen the stack, and the steps of the inner result keep their order.
func TestDeepChain(t *testing.T) {
	const n = 100_000
	r := simulated(t, reactor.Config{})
	base := depth()
	first := deferred.New[int](r, nil)
	d, deepest := first, 0
	for range n {
		d = deferred.Then(d, func(i int) (int, error) { deepest = max(deepest, depth()); return i + 1, nil })
	}
	got := 0
	d.Done(func(i int, _ error) { got = i })
	first.Succeed(0)
	if got != n || deepest > base+20 {
		t.Errorf("DEF-6: steps: %d of %d, %d deep", got, n, deepest)
	}
	// Each waits for the next.
	last := deferred.New[int](r, nil)
	start := deferred.New[int](r, nil)
	d, deepest = last, 0
	for range n {
		inner := d
		outer := deferred.New[int](r, nil)
		d = deferred.Chain(outer, func(int) *deferred.Deferred[int] { return inner })
		outer.Succeed(0)
	}
	d.Done(func(i int, _ error) { got = i; deepest = depth() })
	last.Succeed(-1)
	if got != -1 || deepest > base+20 {
		t.Errorf("DEF-6: results of results: %d, %d deep", got, deepest)
	}
	// Both at a time: results that are there, in steps that return the next.
	got = 0
	d = start
	for range n {
		d = deferred.Chain(d, func(i int) *deferred.Deferred[int] { return deferred.Of(r, i+1) })
	}
	d.Done(func(i int, _ error) { got = i; deepest = depth() })
	if start.Succeed(0); got != n || deepest > base+20 {
		t.Errorf("DEF-6: results that are there: %d, %d deep", got, deepest)
	}

	inner, outer := deferred.New[int](r, nil), deferred.New[int](r, nil)
	var order []string
	inner.Done(func(int, error) { order = append(order, "before") })
	deferred.Chain(outer, func(int) *deferred.Deferred[int] { return inner }).Done(func(int, error) { order = append(order, "outer") })
	outer.Succeed(0)
	inner.Done(func(int, error) { order = append(order, "after") })
	inner.Succeed(0)
	if s := strings.Join(order, ","); s != "before,outer,after" {
		t.Error("DEF-6:", s)
	}
}

// depth is the depth of the stack.
func depth() int {
	var pcs [512]uintptr
	return runtime.Callers(0, pcs[:])
}

// DEF-7: a step that returns its own result is wrong use, and is reported, as are other results that a step cannot return.
func TestWrongResult(t *testing.T) {
	var reported []string
	r := simulated(t, reactor.Config{Panicked: func(e *reactor.PanicError) { reported = append(reported, e.Error()) }})
	other := simulated(t, reactor.Config{})
	for name, result := range map[string]func(own *deferred.Deferred[int]) *deferred.Deferred[int]{
		"DEF-7":           func(own *deferred.Deferred[int]) *deferred.Deferred[int] { return own },
		"no result":       func(*deferred.Deferred[int]) *deferred.Deferred[int] { return nil },
		"another reactor": func(*deferred.Deferred[int]) *deferred.Deferred[int] { return deferred.Of(other, 1) },
	} {
		reported = nil
		d := deferred.New[int](r, nil)
		var c *deferred.Deferred[int]
		c = deferred.Chain(d, func(int) *deferred.Deferred[int] { return result(c) })
		d.Succeed(1)
		o, ok := c.Outcome()
		e, isPanic := errors.AsType[*reactor.PanicError](o.Err)
		if !ok || !isPanic || !strings.Contains(e.Error(), name) || len(reported) != 1 || reported[0] != e.Error() {
			t.Errorf("%s: %v, %v; reported: %q", name, o, ok, reported)
		}
	}
}

// A panic in a step is reported, is the step's outcome, and keeps no other step from running.
func TestPanicInStep(t *testing.T) {
	reported := 0
	r := simulated(t, reactor.Config{Panicked: func(e *reactor.PanicError) { reported++ }})
	d := deferred.New[int](r, nil)
	ran := 0
	d.Done(func(int, error) { panic("one") })
	two := deferred.Then(d, func(int) (int, error) { panic("two") })
	two.Done(func(_ int, err error) {
		if e, ok := errors.AsType[*reactor.PanicError](err); ok && e.Value == "two" {
			ran++
		}
	})
	d.Finally(func() { panic("three") }).Catch(func(error) (int, error) { ran++; panic("four") }).Ignore()
	d.Done(func(int, error) { ran++ })
	d.Succeed(1)
	if ran != 3 || reported != 4 {
		t.Errorf("%d steps ran, %d panics were reported", ran, reported)
	}
	o, _ := deferred.Call(r, func() (int, error) { panic("five") }).Outcome()
	if _, ok := errors.AsType[*reactor.PanicError](o.Err); !ok || reported != 5 {
		t.Errorf("DEF-14: Call: %v", o)
	}
}

// DEF-8: pauses are counted, steps wait for the last one to end, and so do results that wait for a paused one.
func TestPauses(t *testing.T) {
	r := simulated(t, reactor.Config{})
	d := deferred.New[int](r, nil)
	n, later := 0, 0
	d.Done(func(int, error) { n++ })
	outer := deferred.Chain(deferred.Of(r, 0), func(int) *deferred.Deferred[int] { return d })
	outer.Done(func(int, error) { later++ })
	d.Pause()
	d.Pause()
	d.Succeed(1)
	d.Done(func(int, error) { n++ })
	if _, ok := d.Outcome(); ok || n != 0 || later != 0 {
		t.Errorf("DEF-8: paused: %d, %d", n, later)
	}
	if d.Resume(); n != 0 {
		t.Error("DEF-8: after the first of two")
	}
	if d.Resume(); n != 2 || later != 1 {
		t.Errorf("DEF-8: resumed: %d, %d", n, later)
	}
	panics(t, d.Resume)
	// One that is there, and paused, holds back who takes it over.
	inner := deferred.Of(r, 1)
	inner.Pause()
	taken := deferred.Chain(deferred.Of(r, 0), func(int) *deferred.Deferred[int] { return inner })
	if _, ok := taken.Outcome(); ok {
		t.Error("DEF-8: the outcome of a paused one was taken over")
	}
	if inner.Resume(); true {
		if o, ok := taken.Outcome(); !ok || o.Value != 1 {
			t.Errorf("DEF-8: taken over: %v, %v", o, ok)
		}
	}
	// A pause in a step holds back the next one.
	e := deferred.New[int](r, nil)
	n = 0
	e.Done(func(int, error) { n++; e.Pause() })
	e.Done(func(int, error) { n++ })
	if e.Succeed(0); n != 1 {
		t.Errorf("DEF-8: paused inside a step: %d", n)
	}
	if e.Resume(); n != 2 {
		t.Errorf("DEF-8: resumed: %d", n)
	}
}

// DEF-14: a value, an error, a function and another result can be made a result.
func TestMade(t *testing.T) {
	r := simulated(t, reactor.Config{})
	if o, ok := deferred.Of(r, "v").Outcome(); !ok || o.Value != "v" || o.Err != nil {
		t.Errorf("DEF-14: a value: %v", o)
	}
	if o, ok := deferred.Failed[string](r, errTest).Outcome(); !ok || o.Err != errTest {
		t.Errorf("DEF-14: an error: %v", o)
	}
	for _, want := range []error{nil, errTest} {
		d := deferred.Call(r, func() (int, error) { return 4, want })
		if o, ok := d.Outcome(); !ok || o.Err != want || (o.Value == 4) != (want == nil) {
			t.Errorf("DEF-14: a function: %v", o)
		}
		e := deferred.New[int](r, nil)
		e.Follow(d)
		if o, ok := e.Outcome(); !ok || o.Err != want || (o.Value == 4) != (want == nil) {
			t.Errorf("DEF-14: a result: %v", o)
		}
	}
}
