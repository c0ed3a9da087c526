package device

import (
	"strconv"
	"strings"
)

// Mask is a set of events of a file or a directory, as inotify numbers them.
type Mask uint32

// The events that a watch can ask for.
const (
	Access       Mask = 1 << iota // it was read
	Modify                        // it was written or truncated
	Attrib                        // its permissions, owner, times or number of links changed
	CloseWrite                    // it was closed by somebody who could write
	CloseNoWrite                  // it was closed by somebody who could only read
	Open                          // it was opened
	MovedFrom                     // it was moved away from here
	MovedTo                       // it was moved to here
	Create                        // it was made
	Delete                        // it was removed
	DeleteSelf                    // the watched path itself was removed; of a directory it is told when nobody uses it or has a file of it open
	MoveSelf                      // the watched path itself was moved
)

// The events that are told without being asked for.
const (
	Unmount  Mask = 1 << 13 // its file system was unmounted
	Overflow Mask = 1 << 14 // events were lost
	Ignored  Mask = 1 << 15 // the system has removed the watch
	// IsDir comes with other events: they are about a directory.
	IsDir Mask = 1 << 30
)

// The usual sets.
const (
	Moved Mask = MovedFrom | MovedTo
	// Changes are all events but Access, Open and the two closes.
	Changes Mask = Modify | Attrib | Moved | Create | Delete | DeleteSelf | MoveSelf
	// Everything is all events that a watch can ask for. A recursive watch that asks for Access, Open or
	// CloseNoWrite is also told of the reading of directories by the Notifier itself.
	Everything Mask = 1<<12 - 1
)

// String lists the events, such as "create|isdir" (INOT-9). Bits without a name are a number in hexadecimal.
// The empty set is "0".
func (m Mask) String() string {
	names := [...]string{"access", "modify", "attrib", "closewrite", "closenowrite", "open", "movedfrom", "movedto", "create",
		"delete", "deleteself", "moveself", "", "unmount", "overflow", "ignored"}
	var all []string
	for i, name := range names {
		if bit := Mask(1) << i; m&bit != 0 && name != "" {
			all = append(all, name)
			m &^= bit
		}
	}
	if m&IsDir != 0 {
		all = append(all, "isdir")
		m &^= IsDir
	}
	switch {
	case m != 0:
		all = append(all, "0x"+strconv.FormatUint(uint64(m), 16))
	case len(all) == 0:
		return "0"
	}
	return strings.Join(all, "|")
}
