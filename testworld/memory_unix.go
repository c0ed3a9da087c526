//go:build unix

package testworld

import (
	"net"
	"runtime"
	"syscall"
	"testing"
)

// Socket connects a bare socket to port of 127.0.0.1. The process keeps nothing else for it, so it can be the peer of what a test
// measures. The caller closes it.
func Socket(t testing.TB, port int) (fd int) {
	t.Helper()
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// PortOf is the port of a, the address of a TCP listener of package net.
func PortOf(a net.Addr) int { return a.(*net.TCPAddr).Port }

// Memory is how many bytes the heap and the stacks of goroutines take after a collection.
func Memory() (heap, stacks int64) {
	for range 3 {
		runtime.GC() // pools are empty after the second
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse)
}
