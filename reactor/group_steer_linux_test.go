package reactor_test

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// from connects to a from a thread that runs on one CPU, and returns the greeting. The loopback handles the packets of a thread on its CPU.
func from(t *testing.T, cpu int, a kernel.Addr) (got string) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		done <- func() error {
			var set unix.CPUSet
			set.Set(cpu)
			if err := unix.SchedSetaffinity(0, &set); err != nil {
				return err
			}
			fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.IP.Addr().As4()}); err != nil {
				return err
			}
			b := make([]byte, 1)
			n, err := unix.Read(fd, b)
			got = string(b[:max(n, 0)])
			return err
		}()
	}()
	if err := recv(t, done); err != nil {
		t.Fatal(err)
	}
	return got
}

// GROUP-16: with Steer, a connection comes to the loop that is bound to the CPU on which its first packet was handled, also after another loop
// was lost and started anew, which changes the order of the sockets in the system.
func TestGroupSteer(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		k, err := native.Open("")
		if err != nil {
			t.Fatal(err)
		}
		defer k.Close()
		s, _ := kernel.As[kernel.Steerer](k)
		cpus, err := s.CPUs()
		if err != nil {
			t.Fatal(err)
		}
		if len(cpus) < 2 {
			t.Skip("there is one CPU")
		}
		n := len(cpus) + 1 // the last is bound to the first CPU too
		g := newGroup(t, w, n, reactor.GroupConfig{Steer: true, Restarts: 2})
		p, err := g.Listen(loopback, new(greeters), nil)
		if err != nil {
			t.Fatal(err)
		}
		g.run()
		if err := g.Each(func(r *reactor.Reactor) error {
			var set unix.CPUSet
			if err := unix.SchedGetaffinity(0, &set); err != nil {
				return err
			}
			if set.Count() != 1 || !set.IsSet(cpus[r.Index()%len(cpus)]) {
				t.Errorf("GROUP-16: loop %d may run on %d CPUs", r.Index(), set.Count())
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		check := func() {
			t.Helper()
			for range 10 {
				for i, cpu := range cpus {
					got := from(t, cpu, p.Addr())
					if want := string(rune('0' + i)); got != want && (i > 0 || got != string(rune('0'+n-1))) {
						t.Errorf("GROUP-16: a client of CPU %d comes to loop %s, not %s", cpu, got, want)
					}
				}
			}
		}
		check()
		for _, loop := range []int{0, 1} {
			lost := g.Loop(loop)
			lose(t, g, loop)
			eventually(t, "it is started anew", func() bool { return g.Loop(loop) != lost && g.Loop(loop).Running() })
			check()
		}
	})
}

// without is a kernel that cannot steer: what Unwrap would find is not there.
type without struct{ kernel.Kernel }

// A group with Steer is not made if its kernels cannot steer.
func TestGroupCannotSteer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		_, err := reactor.NewGroup(reactor.GroupConfig{Loops: 2, Steer: true, Kernel: func(int, int) (kernel.Kernel, error) { return without{w.Open(t)}, nil }})
		if e, ok := errors.AsType[*reactor.LoopError](err); !ok || e.Loop != 0 || !errors.Is(err, kernel.ErrUnsupported) {
			t.Errorf("GROUP-16: %v", err)
		}
	})
}
