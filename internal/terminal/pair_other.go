//go:build dragonfly || netbsd || openbsd

package terminal

import "errors"

// Open is not there for this system yet.
func Open(Size) (Pair, error) { return Pair{}, failed("posix_openpt", errors.ErrUnsupported) }

// IsMaster is false.
func IsMaster(int) bool { return false }
