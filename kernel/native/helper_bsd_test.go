//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

func ownFlags(*testing.T, kernel.Kernel) {}

func ownWaker(kernel.Kernel) *waker { return nil }
