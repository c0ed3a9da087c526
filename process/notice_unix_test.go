//go:build unix

package process

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// traced is a child whose status the system does not give at first, though it tells of the exit.
type traced struct {
	kernel.Child
	asked, refusals int
}

func (x *traced) Wait() (kernel.Exit, bool, error) {
	if x.asked++; x.asked <= x.refusals {
		return kernel.Exit{}, false, nil
	}
	return x.Child.Wait()
}

// A status that the system does not give yet is asked for again, ever less often, and its end is told at the reactor's end too.
func TestSpuriousNotice(t *testing.T) {
	for _, ends := range []bool{true, false} {
		k, err := native.Open("epoll")
		if err != nil {
			k, err = native.Open("poll")
		}
		if err != nil {
			t.Fatal(err)
		}
		r := reactor.New(k, reactor.Config{})
		defer r.Close()
		s, _ := kernel.As[kernel.Spawner](k)
		x, err := s.Spawn(&kernel.ChildCommand{Path: "/bin/sh", Args: []string{"sh", "-c", "exit 3"}})
		if err != nil {
			t.Fatal(err)
		}
		const refusals = 6
		slow := &traced{Child: x, refusals: refusals}
		if !ends {
			slow.refusals = 1 << 60
		}
		c := &Child{r: r, k: slow, made: true, name: "child"}
		c.proto = new(Base)
		if c.notice, err = r.Await(x, c); err != nil {
			t.Fatal(err)
		}
		c.AfterEnd(func(Status) { _ = r.Stop() })
		start := time.Now()
		r.CallLater(20*time.Second, func() { t.Error("too long"); _ = r.Stop() })
		if !ends {
			r.CallLater(100*time.Millisecond, func() { _ = r.Stop() })
		}
		if err := r.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		status, known := c.Status()
		switch took := time.Since(start); {
		case !known || ends && status.Code != 3 || !ends && !status.Unknown:
			t.Errorf("ends %v: %v, %v", ends, status, known)
		case ends && took < (1<<refusals-1)*time.Millisecond:
			t.Errorf("it was asked %d times in %v", slow.asked, took)
		case !ends && slow.asked > 9:
			t.Errorf("it was asked %d times", slow.asked)
		}
	}
}
