// Package device puts devices of the operating system on the loop. [Notifier] tells of changes in the file system, by
// inotify. [Serial] is a serial port, a transport for a protocol of streams. [Tunnel] is a network device of one's own,
// tun or tap: what the system sends through it comes to a protocol, packet by packet.
//
// Everything in it stands on what a reactor has for foreign descriptors. So there is no goroutine for a device,
// and each turn of the loop does a bounded amount of work for it. What a system lacks is [ErrUnsupported].
package device

import (
	"errors"

	"github.com/whorl-go/whorl/kernel"
)

// ErrUnsupported: this system, or this device, cannot do that. It is also kernel.ErrUnsupported and
// errors.ErrUnsupported.
var ErrUnsupported = kernel.Sentinel("not supported by this system or device", kernel.ErrUnsupported, errors.ErrUnsupported)
