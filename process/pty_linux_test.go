package process_test

import (
	"fmt"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"golang.org/x/sys/unix"
)

// Without descriptors a pair is refused, and nothing is left open.
func TestPTYNoDescriptors(t *testing.T) {
	openPTY(t, process.Size{}).Close()
	leaktest.KeepsDescriptors(t)
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	highest, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(highest)
	for room := range 2 {
		few := old
		few.Cur = uint64(highest + room)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
			t.Fatal(err)
		}
		_, err := process.OpenPTY(process.Size{})
		if e := unix.Setrlimit(unix.RLIMIT_NOFILE, &old); e != nil {
			t.Fatal(e)
		}
		isOne(t, fmt.Sprintf("OpenPTY with room for %d", room), err, kernel.ErrTooManyFiles)
	}
}
