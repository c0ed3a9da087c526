//go:build !race

package websocket_test

import (
	"bytes"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"

	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// rawClient is a connected socket, and nothing of Go's.
func rawClient(t testing.TB, a net.Addr) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	to := &unix.SockaddrInet4{Port: a.(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}
	if err := unix.Connect(fd, to); err != nil {
		t.Fatal(err)
	}
	return fd
}

// heapAndStacks is the memory of the heap and of stacks, after a collection.
func heapAndStacks() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC() // pools are empty after the second
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
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
		if name != "epoll" {
			continue // the others differ in the list of sockets only
		}
		s := open(t, w, nil)
		buf := make([]byte, 1000)
		const first, more = 100, 2000 // the first grow what all share
		fds := make([]int, 0, first+more)
		defer func() {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		}()
		connect := func(n int) {
			for range n {
				fd := rawClient(t, s.l.Addr())
				fds = append(fds, fd)
				if _, err := unix.Write(fd, append([]byte(request()), text("hello")...)); err != nil {
					t.Fatal(err)
				}
				for got := 0; ; {
					n, err := unix.Read(fd, buf[got:])
					if n <= 0 || err != nil {
						t.Fatalf("%d and %v", n, err)
					}
					if got += n; bytes.HasSuffix(buf[:got], []byte("hello")) {
						break
					}
				}
			}
		}
		connect(first)
		idleGoroutines(t)
		before, was := heapAndStacks(), resident(t)
		connect(more)
		idleGoroutines(t)
		each := (heapAndStacks() - before) / more
		t.Logf("%d bytes of heap and stack for each, %d of RSS", each, (resident(t)-was)/more)
		if each > 1000 {
			t.Errorf("an idle WebSocket takes %d bytes", each)
		}
	}
}
