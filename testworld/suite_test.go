package testworld_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// skipped is a test that notes that it was skipped.
type skipped struct {
	ending
	why string
}

func (s *skipped) Skipf(form string, v ...any) {
	s.why = fmt.Sprintf(form, v...)
	panic(s)
}

// TST-21: a test body runs on each kernel of the machine. A kernel that this system lacks is a skip that says why, and no failure.
func TestTST21EachKernel(t *testing.T) {
	var names []string
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			n, _ := kernel.As[kernel.Named](w.New(t, reactor.Config{}).Kernel())
			names = append(names, n.Name())
		})
	}
	if want := strings.Join(append(native.Names(), "sim"), " "); strings.Join(names, " ") != want {
		t.Errorf("TST-21: it has run on %q, want %s", names, want)
	}
	s := &skipped{ending: ending{watched: watched{TB: t}}}
	func() {
		defer func() {
			if v := recover(); v != any(s) {
				t.Errorf("TST-21: it was not skipped: %v", v)
			}
		}()
		testworld.WorldOf("lacking", func() (kernel.Kernel, error) { return native.Open("lacking") }).New(s, reactor.Config{})
	}()
	if !strings.Contains(s.why, "lacking") || len(s.failures) != 0 {
		t.Errorf("TST-21: skipped for %q, failures %q", s.why, s.failures)
	}
	got := failures(t, func(t testing.TB) {
		testworld.WorldOf("broken", func() (kernel.Kernel, error) { return nil, kernel.ErrTooManyFiles }).Open(t)
	})
	if len(got) != 1 {
		t.Errorf("TST-21: a kernel that is there and cannot be opened: %q", got)
	}
}

// TST-22: each test has a new reactor. It ends with the test, with all connections, ports, delayed calls and descriptors on
// it; what it does not end fails the test.
func TestTST22Ends(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			var rs []*reactor.Reactor
			var lost []error
			late := false
			for range 2 {
				got := ended(t, func(t testing.TB) {
					r := w.New(t, reactor.Config{})
					rs = append(rs, r)
					p := &noting{lost: &lost}
					port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(p), nil)
					if err != nil {
						t.Fatalf("%v", err)
					}
					r.Dial(port.Addr(), reactor.One(&noting{lost: &lost}), nil, nil)
					r.CallLater(time.Hour, func() { late = true })
					testworld.Until(t, func() bool { return p.T != nil }, r)
				})
				if len(got) != 0 {
					t.Errorf("TST-22: %q", got)
				}
			}
			if rs[0] == rs[1] || rs[0].Kernel() == rs[1].Kernel() {
				t.Error("TST-22: two tests had one reactor")
			}
			for _, r := range rs {
				if !r.Ending() || late || r.Stats().Sources != 0 {
					t.Errorf("TST-22: %+v", r.Stats())
				}
				if err := r.Turn(0); err == nil {
					t.Error("TST-22: the reactor still turns")
				}
			}
			if len(lost) != 4 {
				t.Errorf("TST-22: %d connections have ended: %v", len(lost), lost)
			}
		})
	}
}

// noting notes its end.
type noting struct {
	reactor.Base
	lost *[]error
}

func (n *noting) DataReceived([]byte)      {}
func (n *noting) ConnectionLost(err error) { *n.lost = append(*n.lost, err) }

// TST-23: a test that runs the reactor has a limit on time, 120 s by default, and a failure of its own if that passes.
func TestTST23Run(t *testing.T) {
	for _, c := range []struct {
		limit, stop time.Duration
		want        string
	}{
		{0, 119 * time.Second, ""},
		{0, time.Hour, "still running after 2m0s"},
		{time.Second, 900 * time.Millisecond, ""},
		{time.Second, 2 * time.Second, "still running after 1s"},
	} {
		r := testworld.Simulation().New(t, reactor.Config{})
		r.CallLater(c.stop, func() { r.Stop() })
		start := r.Now()
		got := failures(t, func(t testing.TB) {
			if err := testworld.Run(t, r, c.limit); err != nil {
				t.Errorf("%v", err)
			}
		})
		if c.want == "" && len(got) != 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("TST-23: limit %v, stopped after %v: %q", c.limit, c.stop, got)
		}
		if !r.Ending() {
			t.Error("TST-23: it was not stopped")
		}
		if took := r.Now() - start; took > c.stop && took > testworld.RunLimit+time.Second {
			t.Errorf("TST-23: it took %v", took)
		}
	}
	// One that hangs in its shutdown.
	r := testworld.Simulation().New(t, reactor.Config{ShutdownTimeout: -1})
	r.AddWaitTrigger(reactor.Shutdown, func(func()) {})
	r.CallWhenRunning(func() { r.Stop() })
	oneFailure(t, "still running after 5s", func(t testing.TB) { testworld.Run(t, r, 5*time.Second) })
}

// A reactor beside the test serves goroutines, lets time pass, and ends with end, or with the test.
func TestBeside(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			t.Run("ends", func(t *testing.T) {
				r := w.New(t, reactor.Config{})
				t.Cleanup(func() {
					if !r.Ending() {
						t.Error("it goes on after the test")
					}
				})
				testworld.Beside(t, r)
			})
			end := testworld.Beside(t, r)
			due, err := reactor.AskLater(r, func(done func(time.Duration, error)) {
				from := r.Now()
				r.CallLater(20*time.Millisecond, func() { done(r.Now()-from, nil) })
			})
			if due < 20*time.Millisecond || due > testworld.Limit || err != nil {
				t.Errorf("a timer of 20 ms is due after %v, and %v", due, err)
			}
			end()
			select {
			case <-r.Done():
			default:
				t.Error("it goes on after end")
			}
		})
	}
}
