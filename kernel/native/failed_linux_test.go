package native

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// eachFailing calls test with every kernel that reports Failed.
func eachFailing(t *testing.T, test func(t *testing.T, k kernel.Kernel)) {
	for _, name := range []string{"epoll", "poll"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of the time is waiting
			test(t, testKernel(t, name, Options{}))
		})
	}
}

// looks counts how often poll asks the system.
type looks struct {
	*poll
	n int
}

func (l *looks) scan(d time.Duration) (int, error) {
	l.n++
	return l.poll.scan(d)
}

// quiet fails if a wait reports something, or spins inside.
func quiet(t *testing.T, k kernel.Kernel) {
	t.Helper()
	ev := make([]kernel.Event, 8)
	var n int
	var err error
	until := k.Now() + 5*time.Millisecond
	switch k := k.(type) {
	case *epoll:
		n, err = k.Wait(ev, until)
		k.rearmEdges()
		if left, errno := k.peek(8); left != 0 || errno != 0 {
			t.Errorf("the set has %d events left: %v", left, errno)
		}
	case *poll:
		l := &looks{poll: k}
		n, err = k.turn(l, ev, until)
		if l.n > 4 {
			t.Errorf("poll was called %d times", l.n)
		}
	}
	if n != 0 || err != nil {
		t.Errorf("Wait: %v, %v", ev[:n], err)
	}
}

// TestHungUpIsQuiet: epoll and poll call it a hang-up when both directions have ended, and
// also when a dial has failed and its error was asked for, whatever is armed. It is not
// reported as Failed, and does not make a wait spin inside.
func TestHungUpIsQuiet(t *testing.T) {
	eachFailing(t, func(t *testing.T, k kernel.Kernel) {
		_, c, s := testPair(t, k)
		// A socket that was never connected is in the state of a dial that failed.
		_, closed, err := baseOf(k).openFor(kernel.OpConnect, c.Remote())
		if err != nil {
			t.Fatal(err)
		}
		x := &conn{streamSock{closed}}
		defer x.Close()
		for round := range uint32(2) {
			for i, x := range []*conn{c, s, x} {
				if err := k.Arm(x, 10*round+uint32(i), kernel.Failed); err != nil {
					t.Fatal(err)
				}
			}
			quiet(t, k)
			c.CloseWrite()
			s.CloseWrite()
			quiet(t, k)
		}
	})
}

// TestFailedUntilAsked: Failed is reported by each wait until somebody asks why.
func TestFailedUntilAsked(t *testing.T) {
	eachFailing(t, func(t *testing.T, k kernel.Kernel) {
		_, c, s := testPair(t, k)
		if err := k.Arm(s, 1, kernel.Failed); err != nil {
			t.Fatal(err)
		}
		c.Abort()
		ev := make([]kernel.Event, 8)
		for range 3 {
			if n, err := k.Wait(ev, k.Now()+10*time.Second); n != 1 || ev[0] != (kernel.Event{Token: 1, Ready: kernel.Failed}) || err != nil {
				t.Fatalf("Wait: %v, %v", ev[:n], err)
			}
		}
		if err := s.Connected(); !errors.Is(err, kernel.ErrReset) {
			t.Errorf("Connected: %v", err)
		}
		if n, err := k.Wait(ev, k.Now()+5*time.Millisecond); n != 0 || err != nil {
			t.Errorf("Wait: %v, %v", ev[:n], err)
		}
	})
}

// TestFailedByTimeout: a conn that waits for nothing hears that keepalive has given up, or
// that the peer took no data for the user timeout.
func TestFailedByTimeout(t *testing.T) {
	for what, prepare := range map[string]func(*testing.T, *conn, *conn){
		"keepalive": func(t *testing.T, c, s *conn) {
			if err := s.SetProbes(kernel.Probes{KeepIdle: time.Second, KeepInterval: time.Second, KeepCount: 1}); err != nil {
				t.Fatal(err)
			}
			// The peer drops all that comes, as if it had lost its power.
			drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
			if err := unix.SetsockoptSockFprog(int(c.fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop}); err != nil {
				t.Skip(err)
			}
		},
		"user timeout": func(t *testing.T, c, s *conn) {
			if err := s.SetUserTimeout(300 * time.Millisecond); err != nil {
				t.Fatal(err)
			}
			for {
				if _, err := s.Write(make([]byte, maxSend)); err != nil { // and nobody reads
					break
				}
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			eachFailing(t, func(t *testing.T, k kernel.Kernel) {
				_, c, s := testPair(t, k)
				prepare(t, c, s)
				if err := k.Arm(s, 1, kernel.Failed); err != nil {
					t.Fatal(err)
				}
				ev := make([]kernel.Event, 8)
				n, err := k.Wait(ev, k.Now()+20*time.Second)
				if n != 1 || ev[0] != (kernel.Event{Token: 1, Ready: kernel.Failed}) || err != nil {
					t.Fatalf("Wait: %v, %v", ev[:n], err)
				}
				err = s.Connected()
				if e, ok := errors.AsType[*kernel.SysError](err); !ok || e.Op != kernel.OpWait || e.Kind != kernel.ErrTimeout || !e.Timeout() {
					t.Errorf("Connected: %v", err)
				}
			})
		})
	}
}
