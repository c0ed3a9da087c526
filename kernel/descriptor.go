package kernel

// MaxDescriptors is how many descriptors one message carries at most, on Linux and in simulation.
const MaxDescriptors = 253

// Passing is a Conn of a UNIX stream that was opened with [StreamOptions].Descriptors: descriptors travel with
// its bytes.
type Passing interface {
	// WriteDescriptors writes a prefix of p, which must not be empty, as Write would, and passes fds, at least one
	// and at most MaxDescriptors, with its first byte. The result is at least 1, or an error, and then nothing was
	// passed. The peer gets duplicates; fds stay the caller's, who may close them at once. It is
	// ErrBadDescriptor if one is not open, and ErrNoResources if the system lets no more wait to be received. If the peer was
	// opened without Descriptors, it is ErrPermission where the system tells that, as Linux from 6.16 does.
	WriteDescriptors(p []byte, fds []int) (int, error)
	// TakeDescriptors returns the descriptors that came with the bytes of the last Read, in the order in
	// which they were sent, or nil. They are close-on-exec, and the caller's to close (FDP-6). The slice is valid
	// until the next Read. What is not taken is closed by the next Read or by Close.
	//
	// Descriptors never come later than the first byte of their message (FDP-4). A Read may return bytes from before
	// that message together with it, because the system joins them; it returns none from
	// behind it. So no Read has the descriptors of two messages.
	TakeDescriptors() []int
	// Dropped is how many messages, since the last call, have lost descriptors on the way, because this process
	// had no room for them. The system does not tell how many descriptors these were.
	Dropped() int
	// Skipped is how many control messages of another kind than descriptors have come since the last
	// call. They are skipped (FDP-5).
	Skipped() int
}

// Descriptors is a Kernel whose sockets have numbers: descriptors of the process, or those of a simulated program.
type Descriptors interface {
	// Duplicate returns a new number for the socket or file of fd. It is close-on-exec. It is ErrBadDescriptor
	// if fd is not open, and ErrTooManyFiles.
	Duplicate(fd int) (int, error)
	// CloseDescriptor closes a number that is the caller's, also after Close of the kernel. It must not be
	// one of a handle. It is ErrBadDescriptor if fd is not open.
	CloseDescriptor(fd int) error
	// DescriptorOf returns a new number for the socket of h, a Conn, Listener or PacketConn of this kernel or a
	// wrapper of one. The number is the caller's (ADOPT-4). The handle works on. The two are one
	// socket. It is ErrClosed for a handle that is closed, ErrUnsupported for one of [Watcher] and for what is no
	// handle of this kernel, and ErrTooManyFiles.
	DescriptorOf(h any) (int, error)
}
