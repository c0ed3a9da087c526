//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package deferred

import (
	"fmt"

	"github.com/whorl-go/whorl/kernel"
)

func takeFile(name string) (lockFile, error) {
	return nil, fmt.Errorf("lock file %q: %w", name, kernel.ErrUnsupported)
}

func isHeld(error) bool { return false }
