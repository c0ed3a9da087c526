//go:build linux && (386 || amd64 || arm || arm64 || loong64 || riscv64 || s390x)

package device

import (
	"time"

	"golang.org/x/sys/unix"
)

// settings are those of a terminal, with its speeds as numbers (termios2).
type settings = unix.Termios

// openPort does not wait for a carrier.
func openPort(path string) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// claimPort takes the port for this process, or, if it is shared, keeps others from that. alone tells that nobody else has it. TIOCEXCL refuses
// others in open, but not privileged ones. The lock refuses those who ask.
func claimPort(fd int, shared bool) (alone bool, err error) {
	if shared {
		return sharePort(fd)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return false, err
	}
	if err = unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err == unix.ENOTTY {
		err = nil // reading the settings says so
	}
	return true, err
}

// sharePort locks a shared port. Two that open it at the same moment may each find the other's lock, which lasts no longer than the question whether
// they are alone.
func sharePort(fd int) (alone bool, err error) {
	for range 10 {
		alone = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil
		if err = unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB); err == nil {
			return alone, nil
		}
		_, _ = unix.Poll(nil, 1)
	}
	return false, err
}

// lastOfPort tells whether nobody else has a lock on the port, which then is ours alone.
func lastOfPort(fd int) bool { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == nil }

func closePort(fd int) { _ = unix.Close(fd) }

func getSettings(fd int) (settings, error) {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err != nil {
		return settings{}, err
	}
	return *t, nil
}

func setSettings(fd int, t settings) error { return unix.IoctlSetTermios(fd, unix.TCSETS2, &t) }

// encode is base, raw, with the settings of c.
func encode(base settings, c SerialConfig) settings {
	t := base
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.INPCK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON | unix.IXOFF | unix.IXANY
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag &^= unix.CSIZE | unix.PARENB | unix.PARODD | unix.CMSPAR | unix.CSTOPB | unix.CRTSCTS | unix.CBAUD | unix.CIBAUD
	t.Cflag |= unix.CREAD | unix.CLOCAL | unix.BOTHER
	t.Cflag |= [...]uint32{unix.CS5, unix.CS6, unix.CS7, unix.CS8}[c.DataBits-5]
	t.Cflag |= [...]uint32{0, unix.PARENB, unix.PARENB | unix.PARODD, unix.PARENB | unix.PARODD | unix.CMSPAR, unix.PARENB | unix.CMSPAR}[c.Parity]
	if c.StopBits == 2 {
		t.Cflag |= unix.CSTOPB
	}
	if c.HardFlow {
		t.Cflag |= unix.CRTSCTS
	}
	if c.SoftFlow {
		t.Iflag |= unix.IXON | unix.IXOFF
	}
	t.Ispeed, t.Ospeed = uint32(c.Baud), uint32(c.Baud)
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0 // reading nothing is EAGAIN, and not the end
	return t
}

// decode is the reverse of encode.
func decode(t settings) SerialConfig {
	c := SerialConfig{Baud: int(t.Ospeed), StopBits: 1, HardFlow: t.Cflag&unix.CRTSCTS != 0, SoftFlow: t.Iflag&unix.IXON != 0}
	c.DataBits = 5 + int(t.Cflag&unix.CSIZE)/unix.CS6
	if t.Cflag&unix.CSTOPB != 0 {
		c.StopBits = 2
	}
	switch t.Cflag & (unix.PARENB | unix.PARODD | unix.CMSPAR) {
	case unix.PARENB:
		c.Parity = EvenParity
	case unix.PARENB | unix.PARODD:
		c.Parity = OddParity
	case unix.PARENB | unix.PARODD | unix.CMSPAR:
		c.Parity = MarkParity
	case unix.PARENB | unix.CMSPAR:
		c.Parity = SpaceParity
	}
	return c
}

func flushPort(fd int, input, output bool) error {
	switch {
	case input && output:
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH)
	case input:
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH)
	case output:
		return unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCOFLUSH)
	}
	return nil
}

func waitingIn(fd int) (input, output int, err error) {
	if input, err = unix.IoctlGetInt(fd, unix.TIOCINQ); err == nil {
		output, err = unix.IoctlGetInt(fd, unix.TIOCOUTQ)
	}
	return input, output, err
}

func setBreak(fd int, on bool) error {
	if on {
		return unix.IoctlSetInt(fd, unix.TIOCSBRK, 0)
	}
	return unix.IoctlSetInt(fd, unix.TIOCCBRK, 0)
}

// lineBits are the system's numbers of DTR, RTS and so on, in the order of Lines.
func lineBits() [6]int {
	return [...]int{unix.TIOCM_DTR, unix.TIOCM_RTS, unix.TIOCM_CTS, unix.TIOCM_DSR, unix.TIOCM_CAR, unix.TIOCM_RI}
}

func getLines(fd int) (l Lines, err error) {
	bits, err := unix.IoctlGetInt(fd, unix.TIOCMGET)
	for i, bit := range lineBits() {
		if bits&bit != 0 {
			l |= 1 << i
		}
	}
	return l, err
}

func setLines(fd int, on, off Lines) error {
	for _, x := range []struct {
		req   uint
		lines Lines
	}{{unix.TIOCMBIS, on}, {unix.TIOCMBIC, off}} {
		bits := 0
		for i, bit := range lineBits() {
			if x.lines&(1<<i) != 0 {
				bits |= bit
			}
		}
		if bits != 0 {
			if err := unix.IoctlSetPointerInt(fd, x.req, bits); err != nil {
				return err
			}
		}
	}
	return nil
}

// drainPort waits until the system has sent everything, for at most so long. tcdrain has no limit: it would wait for ever
// for a peer that holds the line by flow control.
func drainPort(fd int, limit time.Duration, baud int) {
	const step = 10 // ms
	for ; limit > 0; limit -= step * time.Millisecond {
		n, err := unix.IoctlGetInt(fd, unix.TIOCOUTQ)
		if err != nil {
			return
		}
		if n == 0 {
			// The hardware may have some characters still.
			_, _ = unix.Poll(nil, min(64*11*1000/max(baud, 1), 250))
			return
		}
		_, _ = unix.Poll(nil, step)
	}
}

// restorePort drops what was not sent, and sets the port back. If it is shared, what is in its buffers may be for others, and
// who is still there keeps the settings. A port that has gone needs nothing.
func restorePort(fd int, before settings, shared bool) {
	if shared {
		if lastOfPort(fd) {
			_ = setSettings(fd, before)
		}
		return
	}
	_ = flushPort(fd, true, true)
	_ = setSettings(fd, before)
	_ = unix.IoctlSetInt(fd, unix.TIOCNXCL, 0)
}
