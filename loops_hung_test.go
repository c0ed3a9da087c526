//go:build unix

package whorl

import (
	"errors"
	"net"
	"os"
	"strings"
	"sync"
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

// drainee says goodbye when it is drained.
type drainee struct{ onLoop }

func (d *drainee) Drain() {
	d.T.Write([]byte("!"))
	d.T.Close()
}

// Connections are drained also if another loop does not come back from a callback, and those of that loop when it does.
func TestServeHungLoopDrains(t *testing.T) {
	v := start(t, Config{Loops: 3, Grace: time.Hour}, reactor.Each[drainee](), anywhere)
	var conns, stuck []net.Conn
	for len(conns) < 5 || len(stuck) < 2 {
		if c := v.dial(0); loopOf(t, c) == '2' {
			stuck = append(stuck, c)
		} else {
			conns = append(conns, c)
		}
	}
	gate, hangs := make(chan bool), make(chan bool)
	release := sync.OnceFunc(func() { close(gate) })
	defer release()
	v.r.Group().PostTo(2, func(*reactor.Reactor) { close(hangs); <-gate })
	<-hangs
	v.cancel()
	for _, c := range conns {
		if got := loopOf(t, c); got != '!' {
			t.Errorf("got %q", got)
		}
	}
	release()
	for _, c := range stuck {
		if got := loopOf(t, c); got != '!' {
			t.Errorf("got %q", got)
		}
	}
	if err := <-v.result; err != nil {
		t.Error(err)
	}
}
