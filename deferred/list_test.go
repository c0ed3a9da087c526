package deferred_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
)

// several makes n results, and counts how often each is given up.
func several(r *reactor.Reactor, n int) (ds []*deferred.Deferred[int], cancelled []int) {
	cancelled = make([]int, n)
	for i := range n {
		ds = append(ds, deferred.New(r, func(*deferred.Deferred[int]) { cancelled[i]++ }))
	}
	return ds, cancelled
}

// DEF-15: a list gives all outcomes in the order of the list. An empty list is there at once.
func TestAll(t *testing.T) {
	log := new(records)
	r := simulated(t, reactor.Config{Logger: log.logger()})
	ds, _ := several(r, 3)
	all := deferred.All(r, ds...)
	ds[2].Succeed(2)
	ds[0].Succeed(0)
	if failure(all) != errPending {
		t.Error("DEF-15: before the last")
	}
	ds[1].Fail(errTest)
	o, ok := all.Outcome()
	if want := []deferred.Outcome[int]{{Value: 0}, {Err: errTest}, {Value: 2}}; !ok || !slices.Equal(o.Value, want) {
		t.Errorf("DEF-15: %v, want %v", o, want)
	}
	again, _ := deferred.All(r, ds...).Outcome()
	if !slices.Equal(again.Value, o.Value) {
		t.Errorf("DEF-15: of what is there: %v", again)
	}
	if o, ok := deferred.All[int](r).Outcome(); !ok || len(o.Value) != 0 {
		t.Errorf("DEF-15: empty: %v, %v", o, ok)
	}
	if o, ok := deferred.Gather[int](r).Outcome(); !ok || len(o.Value) != 0 || o.Err != nil {
		t.Errorf("DEF-15: empty: %v, %v", o, ok)
	}
	if turn(t, r); len(log.all) > 0 {
		t.Errorf("DEF-15: an error of a member is logged: %q", log.all)
	}
	other := simulated(t, reactor.Config{})
	panics(t, func() { deferred.All(r, deferred.Of(other, 1)) })
}

// DEF-15: in the mode that waits for the first success, an empty list is never there; the others go on.
func TestFirst(t *testing.T) {
	r := simulated(t, reactor.Config{})
	if empty := deferred.First[int](r); failure(empty) != errPending {
		t.Error("DEF-15: an empty list is there")
	} else if empty.Cancel(); failure(empty) != errPending {
		t.Error("an empty list has ended")
	}
	ds, cancelled := several(r, 3)
	first := deferred.First(r, ds...)
	ds[0].Fail(errTest)
	ds[2].Succeed(7)
	if o, ok := first.Outcome(); !ok || o.Value != (deferred.Won[int]{Index: 2, Value: 7}) {
		t.Errorf("DEF-15: %v", o)
	}
	if failure(ds[1]) != errPending || cancelled[1] != 0 {
		t.Error("DEF-15: another member was given up")
	}
	ds[1].Succeed(1)
	failed := deferred.First(r, deferred.Failed[int](r, errTest), deferred.Failed[int](r, errPending))
	if e, ok := errors.AsType[*deferred.AllFailedError](failure(failed)); !ok || !slices.Equal(e.Errs, []error{errTest, errPending}) {
		t.Errorf("DEF-15: all failed: %v", failure(failed))
	}
}

// DEF-15, DEF-17: gathering gives all values in order, or the first error, with its place; the other members go on.
func TestGather(t *testing.T) {
	log := new(records)
	r := simulated(t, reactor.Config{Logger: log.logger()})
	ds, _ := several(r, 3)
	all := deferred.Gather(r, ds...)
	for _, i := range []int{1, 2, 0} {
		ds[i].Succeed(i * 10)
	}
	if o, ok := all.Outcome(); !ok || !slices.Equal(o.Value, []int{0, 10, 20}) {
		t.Errorf("DEF-17: %v", o)
	}
	ds, cancelled := several(r, 3)
	all = deferred.Gather(r, ds...)
	ds[0].Succeed(0)
	ds[2].Fail(errTest)
	e, ok := errors.AsType[*deferred.FirstError](failure(all))
	if !ok || e.Index != 2 || !errors.Is(e, errTest) || e.Error() != "result 2 of the list: test" {
		t.Errorf("DEF-15, DEF-17: %v", failure(all))
	}
	if failure(ds[1]) != errPending || cancelled[1] != 0 {
		t.Error("DEF-17: another member was given up")
	}
	ds[1].Fail(errPending)
	if turn(t, r); len(log.all) > 0 {
		t.Errorf("DEF-15: an error of a member is logged: %q", log.all)
	}
}

// DEF-17: a race gives the first success and its place, and gives up the others once. If all fail, it gives all errors in order.
func TestRace(t *testing.T) {
	r := simulated(t, reactor.Config{})
	ds, cancelled := several(r, 4)
	race := deferred.Race(r, ds...)
	ds[3].Fail(errTest)
	n := 0
	race.Done(func(deferred.Won[int], error) { n++ })
	ds[1].Succeed(5)
	if o, ok := race.Outcome(); !ok || o.Value != (deferred.Won[int]{Index: 1, Value: 5}) || n != 1 {
		t.Errorf("DEF-17: %v, %d", o, n)
	}
	if !slices.Equal(cancelled, []int{1, 0, 1, 0}) {
		t.Errorf("DEF-17: given up: %v", cancelled)
	}
	ds, cancelled = several(r, 2)
	if o, ok := deferred.Race(r, ds[0], deferred.Of(r, 6), ds[1]).Outcome(); !ok || o.Value.Index != 1 || !slices.Equal(cancelled, []int{1, 1}) {
		t.Errorf("DEF-17: with one that is there: %v, %v", o, cancelled)
	}
	ds, _ = several(r, 2)
	race = deferred.Race(r, ds...)
	ds[1].Fail(errPending)
	ds[0].Fail(errTest)
	e, ok := errors.AsType[*deferred.AllFailedError](failure(race))
	if !ok || !slices.Equal(e.Errs, []error{errTest, errPending}) || !errors.Is(e, errPending) {
		t.Errorf("DEF-17: all failed: %v", failure(race))
	}
	if failure(deferred.Race[int](r)) != errPending {
		t.Error("DEF-17: an empty race has ended")
	}
}

// DEF-16: giving up a list that is not there gives up every member, also if one canceller panics. Giving up one that is there does nothing.
func TestCancelList(t *testing.T) {
	lists := map[string]func(r *reactor.Reactor, ds []*deferred.Deferred[int]) (cancel func(), err func() error){
		"All": func(r *reactor.Reactor, ds []*deferred.Deferred[int]) (func(), func() error) {
			d := deferred.All(r, ds...)
			return d.Cancel, func() error { return failure(d) }
		},
		"Gather": func(r *reactor.Reactor, ds []*deferred.Deferred[int]) (func(), func() error) {
			d := deferred.Gather(r, ds...)
			return d.Cancel, func() error { return failure(d) }
		},
		"First": func(r *reactor.Reactor, ds []*deferred.Deferred[int]) (func(), func() error) {
			d := deferred.First(r, ds...)
			return d.Cancel, func() error { return failure(d) }
		},
		"Race": func(r *reactor.Reactor, ds []*deferred.Deferred[int]) (func(), func() error) { // DEF-17
			d := deferred.Race(r, ds...)
			return d.Cancel, func() error { return failure(d) }
		},
	}
	for name, list := range lists {
		reported := 0
		r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) { reported++ }})
		ds, cancelled := several(r, 4)
		ds[1] = deferred.New(r, func(*deferred.Deferred[int]) { panic("no") })
		ds[3].Ignore()
		cancel, err := list(r, ds)
		ds[0].Fail(errTest)
		first := err()
		cancel()
		if name == "Gather" { // was there
			if !slices.Equal(cancelled, []int{0, 0, 0, 0}) || failure(ds[2]) != errPending || err() != first {
				t.Errorf("DEF-16: %s was there: %v", name, cancelled)
			}
			ds, cancelled = several(r, 4)
			ds[1] = deferred.New(r, func(*deferred.Deferred[int]) { panic("no") })
			ds[0].Succeed(1)
			cancel, err = list(r, ds)
			cancel()
		}
		if !slices.Equal(cancelled, []int{0, 0, 1, 1}) || reported != 1 {
			t.Errorf("DEF-16: %s: given up: %v, %d panics", name, cancelled, reported)
		}
		if e := err(); e == errPending || (name == "All") != (e == nil) || e != nil && !errors.Is(e, reactor.ErrCancelled) && name != "Gather" {
			t.Errorf("DEF-16, DEF-17: %s: %v", name, e)
		}
		cancel()
		if !slices.Equal(cancelled, []int{0, 0, 1, 1}) {
			t.Errorf("DEF-16: %s: given up twice: %v", name, cancelled)
		}
	}
}

// DEF-17: the first success decides a race once, also if it is there from the beginning, and if one that is given up succeeds as well.
func TestRaceOnce(t *testing.T) {
	r := simulated(t, reactor.Config{})
	for _, early := range []bool{false, true} {
		gaveUp, calls := 0, 0
		a := deferred.New[int](r, nil)
		b := deferred.New(r, func(d *deferred.Deferred[int]) { gaveUp++; d.Succeed(2) })
		if early {
			a.Succeed(1)
		}
		race := deferred.Race(r, a, b)
		race.Done(func(deferred.Won[int], error) { calls++ })
		if !early {
			a.Succeed(1)
		}
		if o, ok := race.Outcome(); !ok || o.Value.Index != 0 || o.Value.Value != 1 || gaveUp != 1 || calls != 1 {
			t.Errorf("DEF-17: %v, given up %d times, %d calls", o, gaveUp, calls)
		}
	}
}

// DEF-15, DEF-17: what is there when a list is made counts in the order of the list, as if each had come alone: all ways in which three results have come,
// have failed, or are to come.
func TestListOfWhatIsThere(t *testing.T) {
	r := simulated(t, reactor.Config{})
	const came, failed, waits = 0, 1, 2
	for n := range 27 {
		kinds := []int{n % 3, n / 3 % 3, n / 9}
		make3 := func() (ds []*deferred.Deferred[int]) {
			for i, k := range kinds {
				switch k {
				case came:
					ds = append(ds, deferred.Of(r, i))
				case failed:
					ds = append(ds, deferred.Failed[int](r, errTest))
				default:
					ds = append(ds, deferred.New[int](r, nil))
				}
			}
			return ds
		}
		gathered, wait := deferred.Gather(r, make3()...), slices.Contains(kinds, waits)
		e, isFirst := errors.AsType[*deferred.FirstError](failure(gathered))
		switch i := slices.Index(kinds, failed); {
		case i >= 0 && (!isFirst || e.Index != i):
			t.Errorf("DEF-17: Gather of %v has failed with %v, want that of result %d", kinds, failure(gathered), i)
		case i < 0 && wait != (failure(gathered) == errPending):
			t.Errorf("DEF-17: Gather of %v: %v", kinds, failure(gathered))
		}
		for name, list := range map[string]*deferred.Deferred[deferred.Won[int]]{"First": deferred.First(r, make3()...), "Race": deferred.Race(r, make3()...)} {
			o, given := list.Outcome()
			all, allFailed := errors.AsType[*deferred.AllFailedError](o.Err)
			switch i := slices.Index(kinds, came); {
			case i >= 0 && (o.Err != nil || o.Value != deferred.Won[int]{Index: i, Value: i}):
				t.Errorf("DEF-15, DEF-17: %s of %v is %v, want result %d", name, kinds, o, i)
			case i < 0 && wait && given:
				t.Errorf("DEF-15, DEF-17: %s of %v is %v, and one is to come", name, kinds, o)
			case i < 0 && !wait && (!allFailed || !slices.Equal(all.Errs, []error{errTest, errTest, errTest})):
				t.Errorf("DEF-15, DEF-17: %s of %v is %v", name, kinds, o)
			}
		}
	}
}
