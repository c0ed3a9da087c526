package reactor

// replies are streams that received something, and only have a short answer to send.
// The answers go out some at a time, because reading several sockets and then writing
// several is faster than taking turns: the system's code for the one pushes that for
// the other out of the processor's caches.
type replies struct {
	s         [16]*Stream // more gains nothing, and would keep the first waiting
	first, to int
}

// replyLimit is the longest answer to hold back. A longer one had better be sent
// while it is in the cache itself.
const replyLimit = 2 << 10

func (q *replies) held() bool { return q.first < q.to }
func (q *replies) full() bool { return q.to == len(q.s) }

func (q *replies) hold(s *Stream) {
	q.s[q.to] = s
	q.to++
}

// sendReplies settles the streams held. After a panic it goes on behind the one at
// fault.
func (r *Reactor) sendReplies() {
	q := &r.replies
	for q.first < q.to {
		s := q.s[q.first]
		q.s[q.first] = nil
		q.first++
		r.current = s
		s.settle()
	}
	q.first, q.to = 0, 0
}

// hasReply tells whether all that is to be done for s is to send a short answer.
func (s *Stream) hasReply() bool {
	return s.out.Len() > 0 && s.out.Len() <= replyLimit && s.steady()
}
