//go:build unix

package coro_test

import (
	"testing"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

const (
	idleCount = 2000
	idleBytes = 3 << 10
)

// CORO-9: an idle coroutine connection takes less than 3 KB, its goroutine and stack and the stream below included. The clients are bare sockets, which take nothing of the heap.
func TestIdleMemory(t *testing.T) {
	if raced {
		t.Skip("the detector has memory of its own")
	}
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			if name == "select" {
				return // it has no room for so many
			}
			r := w.New(t, reactor.Config{})
			plain, _ := idle(t, r, reactor.Each[silent]())
			h, s := idle(t, r, coro.Factory(counting))
			t.Logf("%d bytes of heap and %d of stack for each of %d idle connections; %d with the smallest protocol", h, s, idleCount, plain)
			if h+s > idleBytes || h+s < 2000 {
				t.Errorf("CORO-9: %d bytes for an idle connection, want no more than %d", h+s, idleBytes)
			}
		})
	}
}

// silent is the smallest protocol.
type silent struct{ reactor.Base }

func (*silent) DataReceived([]byte) {}

// idle measures what each idle connection to a server takes.
func idle(t *testing.T, r *reactor.Reactor, f reactor.Factory) (h, s int64) {
	p := listen(t, r, f)
	fds := sockets(t, r, p, nil, 20) // what is made once
	heap, stack := testworld.Memory()
	for len(fds) < idleCount+20 {
		fds = sockets(t, r, p, fds, 50)
	}
	heapAfter, stackAfter := testworld.Memory()
	for _, fd := range fds {
		unix.Close(fd)
	}
	testworld.Until(t, func() bool { return r.Stats().Connections == 0 }, r)
	return (heapAfter - heap) / idleCount, (stackAfter - stack) / idleCount
}

// counting is a small body that waits.
func counting(s *coro.Session) error {
	var buf [16]byte
	for {
		if _, err := s.Read(buf[:]); err != nil {
			return err
		}
	}
}

// sockets connects n more bare sockets to p.
func sockets(t *testing.T, r *reactor.Reactor, p *reactor.Port, fds []int, n int) []int {
	t.Helper()
	for range n {
		fds = append(fds, testworld.Socket(t, int(p.Addr().Port())))
	}
	testworld.Until(t, func() bool { return r.Stats().Connections == len(fds) }, r)
	testworld.Turns(t, r, 3)
	return fds
}
