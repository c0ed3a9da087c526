//go:build !race

package websocket_test

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// inUse is the memory of the heap and of stacks.
func inUse() int64 {
	heap, stacks := testworld.Memory()
	return heap + stacks
}

// resident is the memory that the process holds in RAM.
func resident(t testing.TB) int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(string(bytes.Fields(statm)[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// NETCONN-15: of 2,000 idle WebSockets that were made by a handler of net/http, each takes less than 1 KB of heap and stack, and none has a goroutine.
func TestIdleMemory(t *testing.T) {
	for name, w := range testworld.Native() {
		if name == "select" {
			continue // it takes too few descriptors to measure them
		}
		t.Run(name, func(t *testing.T) { idleMemory(t, w) })
	}
}

func idleMemory(t *testing.T, w testworld.World) {
	s := open(t, w, nil)
	const first, more = 100, 2000 // the first grow what all share
	fds := make([]int, 0, first+more)
	defer func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	}()
	connect := func(n int) {
		for range n {
			fds = append(fds, upgraded(t, testworld.PortOf(s.l.Addr())))
		}
	}
	connect(first)
	idleGoroutines(t)
	before, was := inUse(), resident(t)
	connect(more)
	idleGoroutines(t)
	each := (inUse() - before) / more
	t.Logf("%d bytes of heap and stack for each, %d of RSS", each, (resident(t)-was)/more)
	if each > 1000 {
		t.Errorf("an idle WebSocket takes %d bytes", each)
	}
}

// upgraded is a bare socket that has become a WebSocket, over which a message has gone both ways.
func upgraded(t *testing.T, port int) (fd int) {
	t.Helper()
	fd = testworld.Socket(t, port)
	if _, err := unix.Write(fd, append([]byte(request()), text("hello")...)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	for got := 0; !bytes.HasSuffix(buf[:got], []byte("hello")); {
		n, err := unix.Read(fd, buf[got:])
		if n <= 0 || err != nil {
			t.Fatalf("%d and %v", n, err)
		}
		got += n
	}
	return fd
}
