//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

import "github.com/whorl-go/whorl/kernel"

// credentials are not asked for on these systems yet.
func credentials(int) (kernel.Credentials, error) { return kernel.Credentials{}, kernel.ErrUnsupported }
