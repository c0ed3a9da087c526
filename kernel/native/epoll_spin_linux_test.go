package native

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TestSpinner: a loop spins as long as two of three spins find something, and tries it less and less often while none does.
func TestSpinner(t *testing.T) {
	var s spinner
	// waits returns how many waits pass until a spin is due.
	waits := func() int {
		t.Helper()
		for n := range 2 * maxPause {
			if s.due(0) {
				return n
			}
		}
		t.Fatal("no spin is due any more")
		return 0
	}
	for i, want := range []int{0, 64, 128, 256, 512, 1024, 1024} {
		if got := waits(); got != want {
			t.Errorf("%d spins found nothing: the next comes after %d waits, want %d", i, got, want)
		}
		s.note(false)
	}
	waits()
	for range 100 {
		s.note(true)
		if got := waits(); got != 0 {
			t.Fatalf("%d waits without a spin though the last found something", got)
		}
	}
	for i, want := range []int{0, 0, 0, 64} {
		if s.note(false); waits() != want {
			t.Errorf("%d spins in a row failed: the next is not after %d waits", i+1, want)
		}
	}
	for name, c := range map[string]struct {
		results string // of the spins, over and over
		ends    bool
	}{"two of three": {"++-", false}, "three of four": {"+++-", false}, "every other": {"+-", true}, "three of five": {"++-+-", true}} {
		s = spinner{credit: maxCredit}
		for i := range 1000 {
			s.note(c.results[i%len(c.results)] == '+')
			if s.credit == 0 {
				break
			}
		}
		if ended := s.credit == 0; ended != c.ends {
			t.Errorf("%s find something: it has ended is %v", name, ended)
		}
	}
}

// TestSpin: a wait that spins finds what comes without sleeping. It ends when Wake is called, and after a moment if nothing comes.
func TestSpin(t *testing.T) {
	k := testEpoll(t, WaitAdaptive)
	_, c, s := testPair(t, k)
	_, c2, s2 := testPair(t, k)
	if err := errors.Join(k.Arm(s, 1, kernel.Readable), k.Arm(s2, 2, kernel.Readable)); err != nil {
		t.Fatal(err)
	}
	read := func(s *conn) {
		t.Helper()
		if n, err := s.Read(make([]byte, 8)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	for name, mode := range map[string]WaitMode{"adaptive": WaitAdaptive, "hold": WaitHold} {
		k.wait.mode = mode
		pause := func(ms int) (int, syscall.Errno) { return k.pause(8, ms, k.Now()+time.Duration(ms)*time.Millisecond) }
		// waits makes one wait with this credit, and tells what became of it.
		waits := func(when string, credit, ms, events int, sleeps bool, left int) {
			t.Helper()
			got, errno := 0, syscall.EINTR
			for errno == unix.EINTR { // the runtime has stopped the world
				k.wait.recent, k.wait.turns, k.wait.spinner = 0, 0, spinner{credit: credit}
				got, errno = pause(ms)
			}
			slept := k.waker.state.Load() == sleeping
			k.waker.endWait()
			if got != events || errno != 0 || slept != sleeps || k.wait.spinner.credit != left {
				t.Errorf("%s, %s: %d events, %v; slept is %v; credit %d", name, when, got, errno, slept, k.wait.spinner.credit)
			}
		}
		// A spin is worth it if it finds the socket alone that gave input last.
		k.gave = closedFD
		c.Write([]byte("x"))
		waits("another socket", 3, 1000, 1, false, 1)
		read(s)
		c.Write([]byte("x"))
		waits("the same", 1, 1000, 1, false, 2)
		read(s)
		c2.Write([]byte("x"))
		c.Write([]byte("x"))
		waits("two sockets", 3, 1000, 2, false, 1)
		read(s2)
		read(s)
		k.Wake()
		waits("woken", 1, 1000, 0, false, 2)
		waits("nothing comes", 2, 1, 0, true, 0)
		k.wait.spinner = spinner{left: 1}
		if got, _ := pause(0); got != 0 || k.wait.spinner.left != 0 || k.wait.spinner.credit != 0 {
			t.Errorf("%s: it spins when none is due", name)
		}
		k.waker.endWait()
	}
	k.wait.spinner = spinner{}
	start := time.Now()
	if got, errno := k.spin(8, true); got != 0 || errno != 0 {
		t.Errorf("%d events, %v", got, errno)
	}
	if d := time.Since(start); d < spinTime {
		t.Errorf("a spin for nothing took %v", d)
	}
}
