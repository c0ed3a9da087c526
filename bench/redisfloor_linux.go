package main

import (
	"net"

	"golang.org/x/sys/unix"
)

// serveFloor makes the system calls that a server with epoll needs: one read and one write for all commands that have come
// together. In between it only counts commands: it answers OK to those of three words, and a value of three bytes to those of two,
// whatever they say. What another server takes beyond it is mostly that server's own work.
func serveFloor(listening func(net.Addr)) error {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	listening(l.Addr())
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f, err := c.(*net.TCPConn).File() // of its own, without Go's poller
			c.Close()
			if err != nil {
				return
			}
			fd, _ := unix.Dup(int(f.Fd()))
			f.Close()
			_ = unix.SetNonblock(fd, true)
			_ = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
		}
	}()
	return floorLoop(epfd)
}

func floorLoop(epfd int) error {
	events, in := make([]unix.EpollEvent, 128), make([]byte, 64<<10)
	star := map[int32]bool{} // what came last was the '*' of a command
	var out []byte
	for {
		n, err := unix.EpollWait(epfd, events, -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for i := range max(n, 0) {
			fd := events[i].Fd
			got, err := unix.Read(int(fd), in)
			if got <= 0 && err != unix.EAGAIN {
				delete(star, fd)
				unix.Close(int(fd))
				continue
			}
			var open bool
			out, open = floorAnswers(out[:0], in[:max(got, 0)], star[fd])
			if open != star[fd] {
				star[fd] = open
			}
			if len(out) > 0 {
				_, _ = unix.Write(int(fd), out) // redis-benchmark waits for it, so there is room
			}
		}
	}
}

// floorAnswers appends the answers to the commands that begin in p. star tells whether the '*' of one stood at the end of what came before, and the result whether it does now.
func floorAnswers(out, p []byte, star bool) ([]byte, bool) {
	for _, b := range p {
		switch {
		case star && b == '3':
			out = append(out, "+OK\r\n"...)
		case star && b == '2':
			out = append(out, "$3\r\nxxx\r\n"...)
		}
		star = b == '*'
	}
	return out, star
}
