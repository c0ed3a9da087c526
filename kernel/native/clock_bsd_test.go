//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"errors"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// TIME-30: a clock that this system lacks is refused.
func TestBoottimeUnsupported(t *testing.T) {
	for _, name := range append(Names(), "") {
		if k, err := OpenWith(name, Options{Clock: ClockBoottime}); k != nil || !errors.Is(err, kernel.ErrUnsupported) {
			t.Errorf("TIME-30: %q: %v, %v", name, k, err)
		}
	}
}
