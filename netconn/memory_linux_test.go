//go:build !race

package netconn_test

import (
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/netconn"
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

// inUse is the memory of the heap and of stacks, after a collection.
func inUse() int64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC() // pools are empty after the second
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// NETCONN-10: an idle HTTP connection takes less than 1 KB of heap and stack. That of net/http alone takes about 20.
func TestIdleMemory(t *testing.T) {
	for name, w := range testworld.Native() {
		if name != "epoll" {
			continue // the others differ in the list of sockets only
		}
		s := serveIdle(t, w, netconn.IdleConfig{Linger: soon}, http.HandlerFunc(hello), nil)
		buf := make([]byte, 1000)
		connect := func(n int) {
			for range n {
				fd := rawClient(t, s.l.Addr())
				t.Cleanup(func() { _ = unix.Close(fd) })
				if _, err := unix.Write(fd, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
					t.Fatal(err)
				}
				if _, err := unix.Read(fd, buf); err != nil {
					t.Fatal(err)
				}
			}
		}
		const first, more = 50, 400 // the first grow what all share
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
}
