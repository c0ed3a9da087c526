package reactor_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// copied copies what go vet says must not be copied.
func copied[T any](v *T) *T {
	c := new(T)
	*c = *v
	return c
}

// A DelayedCall that is not pending may be copied after all, as a struct that holds one is when
// a function returns it. TIME-29: a copy of a pending one must not be changed.
func TestDelayedCallCopied(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var calls int
		var first reactor.DelayedCall
		first.Init(r, func() { calls++ })
		second := copied(&first)
		first.Reset(time.Hour)
		second.Reset(2 * time.Hour)
		same(t, r.DelayedCalls(), &first, second)
		third := copied(&first)
		for name, change := range map[string]func(){
			"Reset": func() { third.Reset(0) }, "Delay": func() { third.Delay(1) }, "Cancel": func() { third.Cancel() },
			"Init": func() { third.Init(r, func() {}) },
		} {
			if got := panicOf(change); !strings.HasPrefix(got, "reactor: ") || !strings.Contains(got, "pending") {
				t.Errorf("TIME-29: %s of a copy: %q", name, got)
			}
		}
		same(t, r.DelayedCalls(), &first, second)
		first.Cancel()
		second.Reset(0)
		until(t, r, func() bool { return calls == 1 })
		if second.Active() || first.Active() {
			t.Error("one is pending")
		}
	})
}

// panicOf returns what fn panics with.
func panicOf(fn func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	fn()
	return ""
}

// TIME-28: the zero value is not pending, and Reset says what is missing.
func TestDelayedCallZero(t *testing.T) {
	var d reactor.DelayedCall
	if got := panicOf(func() { d.Reset(time.Second) }); got != "reactor: Reset of a DelayedCall without Init" {
		t.Errorf("TIME-28: Reset: %q", got)
	}
	if d.Active() || d.Cancel() || d.Delay(time.Second) || d.Due() != 0 || d.String() != "DelayedCall(idle)" {
		t.Errorf("TIME-28: the zero value is %v, due %v", &d, d.Due())
	}
	if got := panicOf(func() { d.Init(nil, func() {}) }); got != "reactor: Init of a DelayedCall without a Reactor" {
		t.Errorf("TIME-28: Init without a Reactor: %q", got)
	}
	if got := panicOf(func() { d.Init(new(reactor.Reactor), nil) }); got != "reactor: Init of a DelayedCall without a function" {
		t.Errorf("TIME-28: Init without a function: %q", got)
	}
}

// TIME-29: go vet finds a copy.
func TestDelayedCallVet(t *testing.T) {
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip(err)
	}
	out, err := exec.Command(tool, "vet", "./testdata/copied").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "copies lock value") {
		t.Errorf("TIME-29: go vet says %v: %s", err, out)
	}
}
