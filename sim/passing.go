package sim

import "github.com/whorl-go/whorl/kernel"

// mail is what travels with the bytes of a message over a UNIX socket: the sockets of descriptors.
type mail struct {
	from, to int // the bytes of the message, counted from the beginning of the stream
	files    []*sock
}

// passing is a unixConn by which descriptors are passed.
type passing struct{ *unixConn }

var _ kernel.Passing = passing{}

// Unwrap is the conn without Passing.
func (c passing) Unwrap() kernel.Conn { return c.unixConn }

// WriteDescriptors is kernel.Passing.
func (c passing) WriteDescriptors(p []byte, fds []int) (int, error) {
	s := c.s
	n := s.lock()
	defer n.mu.Unlock()
	if s.noHandle() {
		return 0, kernel.ErrClosed
	}
	files := make([]*sock, len(fds))
	for i, fd := range fds {
		if files[i] = s.k.numbers[fd]; files[i] == nil {
			return 0, fail(kernel.OpWrite, kernel.ErrBadDescriptor)
		}
	}
	room, err := s.mayWrite()
	if err != nil {
		return 0, err
	}
	m := min(len(p), room)
	for _, f := range files {
		f.holds++
	}
	s.out.mails = append(s.out.mails, mail{s.out.written, s.out.written + m, files})
	s.out.write(p[:m])
	s.wrote(p[:m])
	s.cuts(m, len(p))
	n.note(OpWrite, s, m)
	s.out.push()
	return m, nil
}

// upTo is how many of the next m bytes of f a read may return: those behind a message with descriptors come
// later. It returns the sockets that come along.
func (f *half) upTo(m int) (int, []*sock) {
	if len(f.mails) == 0 || f.mails[0].from >= f.taken+m {
		return m, nil
	}
	first := f.mails[0]
	f.mails = f.mails[1:]
	return min(m, first.to-f.taken), first.files
}

// receiveFiles gives the program of s numbers for what came with a read, if it has asked for them. What was not taken
// before is closed.
func (s *sock) receiveFiles(files []*sock) {
	s.closeCame()
	lost := false
	for _, f := range files {
		if s.options.Descriptors && !lost {
			fd, err := s.k.number(kernel.OpRead, f)
			if err == nil {
				s.came = append(s.came, fd)
			}
			lost = err != nil
		}
		f.holds--
		f.unheld()
	}
	if lost {
		s.lostMails++
	}
}

// closeCame closes the numbers that nobody has taken.
func (s *sock) closeCame() {
	for _, fd := range s.came {
		s.k.closeNumber(fd)
	}
	s.came = nil
}

// dropMails drops what nobody will read.
func (f *half) dropMails() {
	mails := f.mails
	f.mails = nil
	for _, m := range mails {
		for _, x := range m.files {
			x.holds--
			x.unheld()
		}
	}
}

// TakeDescriptors is kernel.Passing.
func (c passing) TakeDescriptors() []int {
	defer c.s.lock().mu.Unlock()
	fds := c.s.came
	c.s.came = nil
	return fds
}

// Dropped is kernel.Passing.
func (c passing) Dropped() int {
	defer c.s.lock().mu.Unlock()
	n := c.s.lostMails
	c.s.lostMails = 0
	return n
}

// Skipped is kernel.Passing. There are no other control messages.
func (c passing) Skipped() int { return 0 }
