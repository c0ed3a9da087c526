package reactor

// replies holds streams that received something and have only a short answer to send.
// Reading several sockets and then writing several is faster than alternating, because the
// system's code for reading and for writing push each other out of the processor's caches.
type replies struct {
	s         [16]*Stream // more would be no faster, and would delay the first answer
	first, to int         // s[first:to] are held
}

// replyLimit is the length of the longest answer that is held back. A longer one is sent
// at once, while its bytes are in the cache.
const replyLimit = 2 << 10

func (q *replies) held() bool { return q.first < q.to }
func (q *replies) full() bool { return q.to == len(q.s) }

func (q *replies) hold(s *Stream) {
	q.s[q.to] = s
	q.to++
}

// sendReplies settles the streams that are held. If settling one panics, the next call of
// sendReplies goes on with the one after it.
//
// Nearly every answer is one piece, which the socket takes whole. It is sent here, as settle would: the processor does not foresee
// where a function returns to after a system call, so each function between costs some 20 ns.
func (r *Reactor) sendReplies() {
	q := &r.replies
	for q.first < q.to {
		s := q.s[q.first]
		q.s[q.first] = nil
		q.first++
		r.current = s
		b := s.out.Single()
		if b == nil || r.hooked || !s.steady() {
			s.settle()
			continue
		}
		s.direct = 0
		n, err := s.conn.Write(b)
		if n < len(b) || err != nil {
			s.wrote(n, true, err)
			s.settle()
			continue
		}
		s.sent += uint64(n)
		s.out.DropSingle(&r.chunks)
	}
	q.first, q.to = 0, 0
}

// hasReply tells whether all that s has to do is to send a short answer.
func (s *Stream) hasReply() bool {
	return s.out.Len() > 0 && s.out.Len() <= replyLimit && s.steady()
}
