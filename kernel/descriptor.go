package kernel

// MaxDescriptors is how many descriptors one message carries at most, on Linux and in simulation.
const MaxDescriptors = 253

// Passing is a Conn of a UNIX stream that was opened with [StreamOptions].Descriptors: descriptors travel with
// its bytes.
type Passing interface {
	// WriteDescriptors writes a prefix of p, which must not be empty, as Write would, and passes fds, at most
	// MaxDescriptors, with its first byte (FDP-2). The result is at least 1, or an error, and then nothing was
	// passed. The peer gets duplicates; fds stay the caller's, who may close them at once.
	WriteDescriptors(p []byte, fds []int) (int, error)
	// TakeDescriptors returns the descriptors that came with the bytes of the last Read, in the order in
	// which they were sent, or nil. They are close-on-exec, and the caller's to close (FDP-6). What is not taken is closed by
	// the next Read or by Close. One Read never returns bytes from before a message with
	// descriptors together with the bytes of that message (FDP-4).
	TakeDescriptors() []int
	// Dropped is how many descriptors the system has dropped on the way, since the last call, because this process
	// had no room for them.
	Dropped() int
}

// Descriptors is a Kernel whose sockets have numbers: descriptors of the process, or those of a simulated program.
type Descriptors interface {
	// Duplicate returns a new number for the socket or file of fd. It is close-on-exec. It is ErrBadDescriptor
	// if fd is not open, and ErrTooManyFiles.
	Duplicate(fd int) (int, error)
	// CloseDescriptor closes a number that is the caller's. It must not be one of a handle.
	CloseDescriptor(fd int) error
	// DescriptorOf returns a new number for the socket of h, which is the caller's (ADOPT-4). The handle
	// works on. The two are one socket.
	DescriptorOf(h any) (int, error)
}
