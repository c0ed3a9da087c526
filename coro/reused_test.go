package coro_test

import (
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/internal/leaktest"
)

// A Reused runs one function after another on one stack, each as a Stack does, until Unwind.
func TestReused(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	var k coro.Reused
	if k.Free() {
		t.Error("a stack without a function is free before Begin")
	}
	for i := range 50 {
		steps := 0
		k.Begin(func() {
			for steps < i%3 {
				steps++
				if !k.Suspend() {
					t.Error("Suspend says that the function is to end")
				}
			}
		})
		if k.Free() {
			t.Fatal("it is free before its function has run")
		}
		for n := range i % 3 {
			if !k.Resume() || steps != n+1 || k.Free() {
				t.Fatalf("function %d: %d steps after %d", i, steps, n)
			}
		}
		if k.Resume() || !k.Free() {
			t.Fatalf("function %d has not ended", i)
		}
		if n := runtime.NumGoroutine(); n > goroutines+1 {
			t.Fatalf("%d goroutines more after %d functions", n-goroutines, i)
		}
	}
	k.Unwind()
	if k.Free() || leaktest.Goroutines(goroutines) > goroutines {
		t.Error("Unwind leaves a free stack")
	}
	if k.Unwind(); k.Free() {
		t.Error("a second Unwind does something")
	}
}

// Unwind ends a Reused in the middle of a function, also of the second one.
func TestReusedUnwind(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	for before := range 2 {
		var k coro.Reused
		for range before {
			k.Begin(func() {})
			k.Resume()
		}
		var log []bool
		k.Begin(func() { log = append(log, k.Suspend(), k.Suspend()) })
		k.Resume()
		k.Unwind()
		if len(log) != 2 || log[0] || log[1] || k.Free() {
			t.Errorf("after %d: Suspend returned %v", before, log)
		}
		if n := leaktest.Goroutines(goroutines); n > goroutines {
			t.Errorf("after %d: %d goroutines", before, n-goroutines)
		}
	}
}

// A panic of a function ends the stack with it.
func TestReusedPanic(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	var k coro.Reused
	k.Begin(func() {})
	k.Resume()
	k.Begin(func() { panic("x") })
	func() {
		defer func() {
			if v := recover(); v != "x" {
				t.Errorf("Resume panics with %v", v)
			}
		}()
		k.Resume()
	}()
	if k.Free() || leaktest.Goroutines(goroutines) > goroutines {
		t.Error("the stack is left")
	}
	k.Unwind()
}
