//go:build windows || plan9 || js || wasip1

package activation

import "errors"

// outlet is nothing: such a system has no service manager of this kind.
type outlet struct{}

func (*outlet) open() error               { return errors.ErrUnsupported }
func (*outlet) send(string, string) error { return errors.ErrUnsupported }
func (*outlet) close()                    {}

func isFull(error) bool { return false }
