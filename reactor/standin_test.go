package reactor_test

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// THR-21: Ask panics on a goroutine that stands in for the loop's, where it would wait for ever, and works on others.
func TestAskInStandIn(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		got := ""
		r.Post(func() {
			done := make(chan struct{})
			go func() { // as a coroutine does, while the loop waits for it
				defer close(done)
				defer func() { got, _ = recover().(string) }()
				r.StandIn(func() { reactor.Ask(r, func() (int, error) { return 0, nil }) })
			}()
			<-done
		})
		until(t, r, func() bool { return got != "" })
		if !strings.Contains(got, "Ask in a callback") {
			t.Errorf("THR-21: the panic is %q", got)
		}
		asked := make(chan int, 1)
		go func() {
			n, _ := reactor.Ask(r, func() (int, error) { return 7, nil })
			asked <- n
		}()
		for len(asked) == 0 {
			if err := r.Turn(ms); err != nil {
				t.Fatal(err)
			}
		}
		if n := <-asked; n != 7 {
			t.Errorf("THR-21: another goroutine got %d", n)
		}
	})
}

// CORE-49: functions of OnDeath are called, in order, when a callback ends the loop's goroutine, and not after an end in order.
func TestOnDeath(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, dies := range []bool{true, false} {
			var got []int
			log := testworld.NewLog(t)
			if dies {
				log.Expect("the loop's goroutine ends inside a callback")
			}
			r := w.New(t, reactor.Config{Logger: log.Logger()})
			r.OnDeath(func() { got = append(got, 1) })
			r.OnDeath(func() { got = append(got, 2) })
			if dies {
				r.Post(runtime.Goexit)
			} else {
				r.Post(func() {})
			}
			left := make(chan struct{})
			go func() {
				defer close(left)
				r.Turn(0)
				r.Close()
			}()
			<-left
			if dies && !slices.Equal(got, []int{1, 2}) || !dies && got != nil {
				t.Errorf("CORE-49: dies: %v, called: %v", dies, got)
			}
			if len(r.AtDeath()) != 0 {
				t.Error("CORE-49: they would be called again")
			}
		}
	})
}
