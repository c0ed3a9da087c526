package fleet

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// The first failures shown are those of the lowest seeds, in order, whenever they came.
func TestFew(t *testing.T) {
	b := &Batch{}
	for _, seed := range []uint64{9, 4, 7, 1, 8} {
		b.done(Verdict{Seed: seed, Error: "x"})
	}
	if list := b.sum.Explained; len(list) != few || list[0].Seed != 1 || list[1].Seed != 4 || list[2].Seed != 7 || b.sum.Failed != 5 {
		t.Errorf("%d failed, shown are %v", b.sum.Failed, b.sum.Explained)
	}
}

// An error from Failed ends the batch: no seed is handed out any more.
func TestFailedEnds(t *testing.T) {
	broken := errors.New("broken")
	told := 0
	b := &Batch{Failed: func(Verdict) error { told++; return broken }, now: &fleet{}}
	b.done(Verdict{})
	b.done(Verdict{Error: "x"})
	if told != 1 || b.err != broken || !b.now.ended {
		t.Errorf("told %d times, err %v, ended %v", told, b.err, b.now.ended)
	}
}

// Every seed of the range is handed out once, with the faults that were asked for.
func TestNext(t *testing.T) {
	faults := "drop=0.1"
	b := &Batch{World: "w", First: 7, Count: 2, Faults: &faults, Once: true}
	for _, seed := range []uint64{7, 8} {
		if j, ok := b.next(); !ok || j.Seed != seed || j.World != "w" || j.Faults != &faults || !j.Once || j.Minimise {
			t.Errorf("got %+v, %v", j, ok)
		}
	}
	if j, ok := b.next(); ok {
		t.Errorf("one more: %+v", j)
	}
}

// What the Go runtime says of its end is found in what a process said.
func TestTail(t *testing.T) {
	var b tail
	for range 4000 {
		io.WriteString(&b, strings.Repeat("chatter ", 10)+"\n")
	}
	if len(b.text) > 3*said {
		t.Errorf("%d bytes are kept", len(b.text))
	}
	io.WriteString(&b, "fatal error: all is lost\n\ngoroutine 1\n")
	if got := b.String(); got != "fatal error: all is lost\n\ngoroutine 1" {
		t.Errorf("got %q", got)
	}
}
