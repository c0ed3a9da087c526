//go:build unix

package whorl

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// GROUP-8: a second signal ends a server of several loops also if one of these does not come back from a callback.
func TestServeHungLoopSecondSignal(t *testing.T) {
	log := new(record)
	v := start(t, Config{Loops: 3, Grace: time.Hour, Logger: log.logger()}, reactor.Each[onLoop](), anywhere)
	for range 10 {
		loopOf(t, v.dial(0))
	}
	gate, hangs := make(chan bool), make(chan bool)
	defer close(gate)
	v.r.Group().PostTo(2, func(*reactor.Reactor) { close(hangs); <-gate })
	<-hangs
	signal := func(log func() bool) {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(testworld.Limit); !log(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the signal is not heard")
			}
		}
	}
	caught := func(n int) func() bool {
		return func() bool { return strings.Count(log.String(), `msg="caught a signal"`) == n }
	}
	signal(caught(1))
	time.Sleep(400 * time.Millisecond) // a twin does not count
	signal(caught(2))
	select {
	case err := <-v.result:
		if e, ok := errors.AsType[*reactor.LoopError](err); !ok || e.Loop != 2 || !errors.Is(err, reactor.ErrUnfinished) {
			t.Errorf("GROUP-8: %v", err)
		}
	case <-time.After(testworld.Limit):
		t.Fatal("GROUP-8: it does not end")
	}
}
