package reactor_test

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// THR-32: what is asked for after the reactor has stopped is told before the call returns, once; whether it has stopped in order, or because a callback
// has ended its goroutine.
func TestToldAfterEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, dies := range []bool{false, true} {
			log := testworld.NewLog(t)
			if dies {
				log.Expect("the loop's goroutine ends inside a callback")
			}
			r := w.New(t, reactor.Config{Logger: log.Logger()})
			open, stopped := listen(t, r, one(&end{}), nil), listen(t, r, one(&end{}), nil)
			packets, err := r.ListenPacket(udp(0), &gram{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			stopped.StopListening(nil)
			testworld.Turns(t, r, 2)
			if dies {
				left := make(chan struct{})
				r.Post(runtime.Goexit)
				go func() { defer close(left); r.Turn(0) }()
				<-left
			} else {
				r.Close()
			}

			told, f := 0, &dialer{}
			want := func(name string, target error) func(error) {
				before := told
				return func(err error) {
					if told++; told != before+1 || !errors.Is(err, target) {
						t.Errorf("THR-32: %s, dies: %v: told %v, for the %dth time", name, dies, err, told-before)
					}
				}
			}
			did := 0
			check := func(name string, call func()) {
				did++
				if call(); told != did {
					t.Fatalf("THR-32: %s, dies: %v: %d were told, %d called", name, dies, told, did)
				}
			}
			address := func(name string) {
				check("Resolve "+name, func() {
					w := want("Resolve", reactor.ErrStopped)
					r.Resolve(name, func(_ []netip.Addr, err error) { w(err) })()
				})
			}
			address("127.0.0.1")
			address("")
			address("localhost")
			check("Dial", func() {
				w := want("Dial", reactor.ErrStopped)
				r.Dial(open.Addr(), f, nil, func(p reactor.Protocol, err error) { w(err) })
			})
			check("a Dial that is wrong", func() {
				w := want("a Dial that is wrong", reactor.ErrStopped)
				wrong := &reactor.DialConfig{StreamConfig: reactor.StreamConfig{HighWater: 1, LowWater: 2}}
				r.Dial(open.Addr(), &dialer{}, wrong, func(p reactor.Protocol, err error) { w(err) })
			})
			if err := f.c.Connect(); err != reactor.ErrStopped {
				t.Errorf("THR-32: Connect: %v", err)
			}
			check("InThread", func() {
				w := want("InThread", pool.ErrStopped)
				reactor.InThread(r, func() (int, error) { return 0, nil }, func(_ int, err error) { w(err) })
			})
			check("StopListening", func() { open.StopListening(want("StopListening", nil)) })
			check("again", func() { stopped.StopListening(want("again", nil)) })
			check("LeaveSocket", func() { open.LeaveSocket(want("LeaveSocket", nil)) })
			check("packets", func() { packets.StopListening(want("packets", nil)) })
			check("JoinGroup", func() { packets.JoinGroup("224.0.0.9", "", want("JoinGroup", reactor.ErrStopped)) })
			check("SetMulticastInterface", func() { packets.SetMulticastInterface("127.0.0.1", want("SetMulticastInterface", reactor.ErrStopped)) })
			check("Drain", func() {
				w := want("Drain", nil)
				r.Drain(reactor.DrainConfig{Done: func(int) { w(nil) }})
			})
			check("Tell", func() { r.Tell(want("Tell", reactor.ErrStopped)) })
		}
	})
}

// THR-32: on a loop that goes on, what Tell has called comes later, with nil.
func TestTell(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		told := errors.New("not told")
		r.Tell(func(err error) { told = err })
		if told == nil {
			t.Error("THR-32: told inside the call")
		}
		until(t, r, func() bool { return told == nil })
	})
}

// THR-32: a panic of what is told after the end is reported, also on several goroutines at once.
func TestToldPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var told atomic.Int32
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { told.Add(1) }})
		r.Close()
		const goroutines, each = 4, 50
		var all sync.WaitGroup
		for range goroutines {
			all.Go(func() {
				for range each {
					reactor.InThread(r, func() (int, error) { return 0, nil }, func(int, error) { panic("oh") })
				}
			})
		}
		all.Wait()
		if told.Load() != goroutines*each {
			t.Errorf("THR-32: %d panics of %d were reported", told.Load(), goroutines*each)
		}
	})
}

// atEnd is a kernel that calls a function when the reactor gives the signals back and closes it, which is after it has called what was posted.
type atEnd struct {
	kernel.Kernel
	do func()
}

func (k *atEnd) Unwrap() kernel.Kernel { return k.Kernel }

func (k *atEnd) Notify(func(os.Signal), ...os.Signal) (stop func()) { return k.do }

func (k *atEnd) Close() error {
	k.do()
	return k.Kernel.Close()
}

// THR-32: in an orderly end Tell calls its function whenever it is called.
func TestToldInTheEnd(t *testing.T) {
	k := &atEnd{Kernel: sim.New(1).Kernel()}
	r := testworld.New(t, k, reactor.Config{Signals: reactor.StopSignals()})
	asked, told := 0, 0
	k.do = func() {
		asked++
		r.Tell(func(error) { told++ })
	}
	r.CallWhenRunning(func() { _ = r.Stop() }) // it runs
	if err := r.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked != 2 || told != 2 {
		t.Errorf("THR-32: %d were told, %d asked", told, asked)
	}
}

// THR-32: StopListening of a port of a group that has stopped.
func TestGroupToldAfterEnd(t *testing.T) {
	groups(t, func(t *testing.T, w testworld.World, n int) {
		g := newGroup(t, w, n, reactor.GroupConfig{})
		g.run()
		p, err := g.Listen(loopback, reactor.Each[end](), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := g.stop(); err != nil {
			t.Fatal(err)
		}
		told := 0
		p.StopListening(func(err error) {
			if told++; err != nil {
				t.Errorf("THR-32: %v", err)
			}
		})
		if told != 1 {
			t.Errorf("THR-32: told %d times", told)
		}
	})
}
