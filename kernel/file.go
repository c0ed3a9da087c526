package kernel

// FileOwner is a Listener or a PacketConn with a UNIX path. The file at its path, and the lock file, can pass to another process that
// has the same socket, in a hand-over: the one leaves them there, and the other removes them at its end.
type FileOwner interface {
	// LeaveFile has Close leave the file and the lock file where they are.
	LeaveFile()
	// OwnFile has Close remove the file that is at the path now. With lock it takes over the lock file as well, which
	// the process holder has made; Close removes that too. The error is one of the file system, or ErrLocked if
	// another process holds the lock. Then nothing has changed. An abstract name has no file, and the error is nil.
	OwnFile(lock bool, holder int) error
}

// OptionLeaver is a PacketConn of AdoptPacketConn. Its socket can pass to another process, in a hand-over, which needs the options that the
// adoption has turned on.
type OptionLeaver interface {
	// LeaveOptions has Close leave the options of the socket as they are. Without it, Close turns off again what
	// the adoption has turned on, because the owner of the socket may not know it.
	LeaveOptions()
}
