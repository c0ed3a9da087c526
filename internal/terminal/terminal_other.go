//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package terminal

import "errors"

// Open is not there on this system, and neither is the rest of this package.
func Open(Size) (Pair, error) { return Pair{}, failed("posix_openpt", errors.ErrUnsupported) }

// Is is false.
func Is(int) bool { return false }

// IsMaster is false.
func IsMaster(int) bool { return false }

// SizeOf fails.
func SizeOf(int) (Size, error) { return Size{}, failed("tcgetwinsize", errors.ErrUnsupported) }

// SetSize fails.
func SetSize(int, Size) error { return failed("tcsetwinsize", errors.ErrUnsupported) }

// Foreground fails.
func Foreground(int) (int, error) { return 0, failed("tcgetpgrp", errors.ErrUnsupported) }

// SetForeground fails.
func SetForeground(_, _ int) error { return failed("tcsetpgrp", errors.ErrUnsupported) }

// InBackground is false.
func InBackground(int) bool { return false }

// Mode is nothing.
type Mode struct{}

// ModeOf fails.
func ModeOf(int) (Mode, error) { return Mode{}, failed("tcgetattr", errors.ErrUnsupported) }

// Set fails.
func (Mode) Set(int) error { return failed("tcsetattr", errors.ErrUnsupported) }

// Raw is m.
func (m Mode) Raw() Mode { return m }
