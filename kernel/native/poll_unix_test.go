//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package native

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// failing is a system that answers with errors, one after the other.
type failing struct{ errs []error }

func (f *failing) scan(time.Duration) (int, error) {
	err := f.errs[0]
	f.errs = f.errs[1:]
	return 0, err
}

func (*failing) collect([]kernel.Event, int) int { panic("there is nothing to collect") }

// TestScanFails: an error of poll and select is one of Wait. A signal is none: the wait goes on (FDS-28).
func TestScanFails(t *testing.T) {
	for _, name := range []string{"poll", "select"} {
		k := testKernel(t, name, Options{})
		f := &failing{[]error{unix.EINTR, nil, unix.EINVAL}}
		n, err := baseOf(k).turn(f, make([]kernel.Event, 1), kernel.Forever)
		e, ok := errors.AsType[*kernel.SysError](err)
		if !ok || n != 0 || e.Op != name || e.Errno != unix.EINVAL || len(f.errs) != 0 {
			t.Errorf("%s: Wait: %d, %v, with %d answers left", name, n, err, len(f.errs))
		}
	}
}
