package kernel

import (
	"fmt"
	"io/fs"
	"strings"
)

// MaxUNIXName is how many bytes the name of a UNIX socket has at most, on Linux and in
// simulation. Other systems take fewer: 103. A file in a deeper directory can be reached by a
// shorter name: relative to the working directory, or through a symbolic link.
const MaxUNIXName = 107

// UNIXAddr is the address of a UNIX stream socket. name is the path of its file. On Linux a name
// that begins with '@' is abstract: it has no file, and is free again when its socket is
// closed (UNIX-2). A file whose name begins with '@' is written "./@name". A zero byte at the
// beginning, as the system has it, becomes '@'. "" is the address of a socket that has no name.
func UNIXAddr(name string) Addr {
	if strings.HasPrefix(name, "\x00") {
		name = "@" + name[1:]
	}
	return Addr{Net: UNIX, Name: name}
}

// UNIXOptions are the options of a listener with a UNIX address. The zero value is the
// defaults. Abstract names have none of them.
type UNIXOptions struct {
	// Mode has the permissions of the socket's file, exactly, whatever the umask: who may write
	// may connect. Zero: 0666, so everybody may. Only the nine permission bits may be set (UNIX-1).
	Mode fs.FileMode `ep:"mode" help:"permissions of the socket's file, an octal number; without it, 666: everybody may connect"`
	// Owner and Group are those of the file: a name or a number. Names are looked up by Listen,
	// which may take time. Empty: those of the process. To give a file away needs privileges.
	Owner string `ep:"owner" help:"owner of the socket's file, a name or a number; without it, the process's"`
	Group string `ep:"group" help:"group of the socket's file, a name or a number; without it, the process's"`
	// Lock has Listen make a lock file, a symbolic link at the path and ".lock" whose target is
	// the number of the process (UNIX-8). If a live process holds it, Listen fails with ErrLocked
	// and ErrAddrInUse (UNIX-9). If its holder is dead, Listen takes the lock over. With the lock it
	// removes a socket file at which nobody listens (UNIX-10). It finds out by connecting, so a
	// listener that it cannot see otherwise, in another container, keeps its file. Without Lock a
	// file that was left is ErrAddrInUse (UNIX-3).
	Lock bool `ep:"lockfile" help:"make a lock file, so that a socket file left by a dead process is removed"`
}

// DefaultUNIXMode is the Mode of UNIXOptions that has none.
const DefaultUNIXMode fs.FileMode = 0o666

// FileMode is Mode, or the default of none.
func (o *UNIXOptions) FileMode() fs.FileMode {
	if o.Mode == 0 {
		return DefaultUNIXMode
	}
	return o.Mode
}

var (
	// ErrLocked: a live process holds the lock file of that UNIX path. It is also ErrAddrInUse.
	ErrLocked = Sentinel("lock file held", ErrAddrInUse)
	// ErrNotLocked: no live process holds the lock file of that UNIX path. It is also ErrRefused.
	ErrNotLocked = Sentinel("lock file not held", ErrRefused)
)

// UNIXConn is a Conn between two processes of one host.
type UNIXConn interface {
	// Credentials are those of the process that dialled or listens at the other end, as they
	// were then. It may have passed its end on since. A system without them is ErrUnsupported.
	Credentials() (Credentials, error)
	// Unbind removes the file of the name that [DialOptions].Bind has given the conn, if it is
	// still there, so that the name is free before Close. Local stays what it was.
	Unbind()
}

// Credentials say whose a process is.
type Credentials struct {
	// PID is the number of the process; 0 if the system does not tell.
	PID int
	// UID and GID are the numbers of its effective user and group.
	UID, GID int
}

// IsAbstract tells whether a is a UNIX address with a name that has no file.
func (a Addr) IsAbstract() bool {
	return (a.Net == UNIX || a.Net == UNIXDatagram) && strings.HasPrefix(a.Name, "@")
}

// checkUNIX is CheckAddr for a UNIX address.
func checkUNIX(op string, a Addr) error {
	bad := func(reason string) error {
		return &AddrError{Op: op, Addr: a, Reason: reason, Kind: ErrInvalidAddr}
	}
	switch name := strings.TrimPrefix(a.Name, "\x00"); {
	case name == "" || name == "@":
		return bad("it has no name")
	case strings.Contains(name, "\x00") && !strings.HasPrefix(name, "@"):
		return bad("a zero byte cannot stand in a path")
	case len(a.Name) > MaxUNIXName:
		return bad(fmt.Sprintf("its name has %d bytes, and at most %d are possible; use a relative path or a symbolic link", len(a.Name), MaxUNIXName))
	}
	return nil
}

// CheckListen returns why o cannot be used to listen on a, as an [*OptionError], or nil: what
// CheckOptions says, or an option that the network of a does not have. Every kernel calls it.
func CheckListen(a Addr, o *ListenOptions) error {
	if err := CheckOptions(OpListen, &o.StreamOptions); err != nil {
		return err
	}
	if a.Net != UNIX {
		if o.UNIX != (UNIXOptions{}) {
			return invalid(OpListen, "UNIX", o.UNIX, "it is for UNIX addresses")
		}
		return onlyUNIX(OpListen, &o.StreamOptions)
	}
	if o.ReusePort {
		return invalid(OpListen, "ReusePort", true, "a UNIX address has no port")
	}
	if err := checkFile(a, &o.UNIX); err != nil {
		return err
	}
	return onlyTCP(OpListen, &o.StreamOptions)
}

// checkFile returns why a socket at a, a UNIX address, cannot have the options u.
func checkFile(a Addr, u *UNIXOptions) error {
	switch {
	case (a.IsAbstract() || a.Name == "") && *u != (UNIXOptions{}):
		return invalid(OpListen, "UNIX", *u, "a socket without a path has no file")
	case u.Mode&^fs.ModePerm != 0:
		return invalid(OpListen, "Mode", fmt.Sprintf("%#o", uint32(u.Mode)), "it has more than the nine permission bits")
	}
	return nil
}

// CheckDial is CheckListen for the options of a dial.
func CheckDial(a Addr, o *DialOptions) error {
	if err := CheckOptions(OpConnect, &o.StreamOptions); err != nil {
		return err
	}
	if err := checkBind(a, o.Bind); err != nil {
		return err
	}
	if a.Net != UNIX {
		if o.CheckLock {
			return invalid(OpConnect, "CheckLock", true, "it is for UNIX addresses")
		}
		return onlyUNIX(OpConnect, &o.StreamOptions)
	}
	switch {
	case o.ReuseAddr:
		return invalid(OpConnect, "ReuseAddr", true, "a UNIX address has no port")
	case o.CheckLock && a.IsAbstract():
		return invalid(OpConnect, "CheckLock", true, "an abstract name has no lock file")
	}
	return onlyTCP(OpConnect, &o.StreamOptions)
}

// checkBind returns why a dial of a cannot bind from, which may be the zero Addr.
func checkBind(a, from Addr) error {
	if from.IsZero() {
		return nil
	}
	if err := CheckAddr(OpBind, from); err != nil {
		return err
	}
	if from.Net != a.Net {
		return &AddrError{Op: OpBind, Addr: from, Reason: "its network is not that of " + a.String(), Kind: ErrInvalidAddr}
	}
	return nil
}

// onlyUNIX refuses what a TCP socket lacks.
func onlyUNIX(op string, o *StreamOptions) error {
	if o.Descriptors {
		return invalid(op, "Descriptors", true, "only a UNIX socket passes descriptors")
	}
	return nil
}

// onlyTCP refuses what a UNIX socket lacks. Nagle means nothing there, and is let pass.
func onlyTCP(op string, o *StreamOptions) error {
	if o.RecvBuffer != 0 {
		return invalid(op, "RecvBuffer", o.RecvBuffer, "a UNIX socket has no buffer for what comes; the sender's SendBuffer is the limit")
	}
	const reason = "a UNIX socket does not have it, because its peer's end is told at once"
	switch {
	case o.KeepAlive:
		return invalid(op, "KeepAlive", true, reason)
	case o.UserTimeout != 0:
		return invalid(op, "UserTimeout", o.UserTimeout, reason)
	}
	return nil
}
