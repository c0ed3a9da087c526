//go:build !race

package netconn_test

import (
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// inUse is the memory of the heap and of stacks.
func inUse() int64 {
	heap, stacks := testworld.Memory()
	return heap + stacks
}

// NETCONN-10: an idle HTTP connection takes less than 1 KB of heap and stack. That of net/http alone takes about 20.
func TestIdleMemory(t *testing.T) {
	for name, w := range testworld.Native() {
		if name == "select" {
			continue // it takes too few descriptors to measure them
		}
		t.Run(name, func(t *testing.T) { idleMemory(t, w) })
	}
}

func idleMemory(t *testing.T, w testworld.World) {
	s := serveIdle(t, w, netconn.IdleConfig{Linger: soon}, http.HandlerFunc(hello), nil)
	buf := make([]byte, 1000)
	connect := func(n int) {
		for range n {
			fd := testworld.Socket(t, testworld.PortOf(s.l.Addr()))
			t.Cleanup(func() { _ = unix.Close(fd) })
			if _, err := unix.Write(fd, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Read(fd, buf); err != nil {
				t.Fatal(err)
			}
		}
	}
	const first, more = 100, 2000 // the first grow what all share
	connect(first)
	s.waiting(first)
	before := inUse()
	connect(more)
	s.waiting(first + more)
	until(t, func() bool { // NETCONN-10: none has a goroutine
		stacks := make([]byte, 4<<20)
		return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "net/http.(*conn).serve") == 0
	})
	each := (inUse() - before) / more
	t.Logf("%d bytes for each", each)
	if each > 1000 {
		t.Errorf("an idle connection takes %d bytes", each)
	}
}
