//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package terminal

import "golang.org/x/sys/unix"

// Is tells whether fd is a terminal, of either side.
func Is(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, getTermios)
	return err == nil
}

// SizeOf returns the size of the window of the terminal fd, of either side.
func SizeOf(fd int) (Size, error) {
	w, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ)
	if err != nil {
		return Size{}, failed("tcgetwinsize", err)
	}
	return Size{w.Row, w.Col, w.Xpixel, w.Ypixel}, nil
}

// SetSize sets it. If it has changed, the system sends SIGWINCH to the foreground processes of the terminal.
func SetSize(fd int, s Size) error {
	w := unix.Winsize{Row: s.Rows, Col: s.Columns, Xpixel: s.XPixels, Ypixel: s.YPixels}
	return failed("tcsetwinsize", unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &w))
}

// Foreground returns the process group in the foreground of the terminal fd. Asked for the slave, or a terminal that is none
// of a pair, it fails with ENOTTY unless that is the controlling terminal of the caller.
func Foreground(fd int) (pgrp int, err error) {
	pgrp, err = unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return pgrp, failed("tcgetpgrp", err)
}

// SetForeground puts a process group into the foreground of the caller's controlling terminal.
func SetForeground(fd, pgrp int) error {
	return failed("tcsetpgrp", unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, pgrp))
}

// InBackground tells whether fd is the controlling terminal of the caller and other processes than the caller's group are in
// the foreground. Then the mode of the terminal is theirs, and changing it stops the caller.
func InBackground(fd int) bool {
	pgrp, err := Foreground(fd)
	return err == nil && pgrp != unix.Getpgrp()
}

// Mode is how a terminal treats input and output: its termios.
type Mode struct{ t unix.Termios }

// ModeOf returns the mode of the terminal fd.
func ModeOf(fd int) (Mode, error) {
	t, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return Mode{}, failed("tcgetattr", err)
	}
	return Mode{*t}, nil
}

// Set sets it at once: it does not wait for output, and keeps input that is unread.
func (m Mode) Set(fd int) error {
	return failed("tcsetattr", unix.IoctlSetTermios(fd, setTermios, &m.t))
}

// Raw returns m as cfmakeraw(3) changes it: each byte comes as it was typed and at once, without echo, and no byte is a
// signal or stops output; output goes out as it was written.
func (m Mode) Raw() Mode {
	t := &m.t
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB
	t.Cflag |= unix.CS8
	t.Cc[unix.VMIN] = 1
	t.Cc[unix.VTIME] = 0
	return m
}

// closeAll closes what a failed Open has opened.
func closeAll(fds ...int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
