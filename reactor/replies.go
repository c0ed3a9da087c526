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

// next takes the first stream out. If settling that panics, the one after it is next.
func (q *replies) next() *Stream {
	s := q.s[q.first]
	q.s[q.first] = nil
	q.first++
	return s
}

// hasReply tells whether all that s has to do is to send a short answer.
func (s *Stream) hasReply() bool {
	return s.out.Len() > 0 && s.out.Len() <= replyLimit && s.steady()
}
