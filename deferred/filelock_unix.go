//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package deferred

import (
	"errors"

	"github.com/whorl-go/whorl/internal/lockfile"
)

// takeFile makes the lock file name.
func takeFile(name string) (lockFile, error) {
	l, err := lockfile.TakeAlive(name)
	if err != nil {
		return nil, err // not a lockFile that holds a nil *lockfile.Lock
	}
	return l, nil
}

// isHeld tells whether somebody else holds the lock file.
func isHeld(err error) bool {
	_, ok := errors.AsType[*lockfile.HeldError](err)
	return ok
}
