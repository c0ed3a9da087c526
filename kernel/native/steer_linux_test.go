package native_test

import (
	"errors"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
)

// A thread that was pinned may run on that CPU alone, and CPUs says so. What is no listener of the kernel cannot be steered.
func TestPin(t *testing.T) {
	k, err := native.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	s, _ := kernel.As[kernel.Steerer](k)
	all, err := s.CPUs()
	if err != nil || len(all) == 0 || !slices.IsSorted(all) {
		t.Fatalf("the CPUs are %v: %v", all, err)
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		for _, cpu := range all {
			if err := s.Pin(cpu); err != nil {
				t.Error(err)
			}
			if now, err := s.CPUs(); err != nil || !slices.Equal(now, []int{cpu}) {
				t.Errorf("pinned to %d, it may run on %v: %v", cpu, now, err)
			}
		}
		if err := s.Pin(1 << 9); !errors.Is(err, unix.EINVAL) {
			t.Errorf("a CPU that there is not: %v", err)
		}
	}()
	<-done
	other, err := native.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	l, err := other.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := s.SteerTo(l, all[0]); err == nil {
		t.Error("the listener of another kernel is steered")
	}
}
