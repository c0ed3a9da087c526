package native

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// edgePair returns both ends of a connection. s is armed for reading, as token 1.
func edgePair(t *testing.T) (k *epoll, c, s *conn) {
	t.Helper()
	k = testEpoll(t, WaitBlock)
	_, c, s = testPair(t, k)
	if err := k.Arm(s, 1, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	return k, c, s
}

// TestEdgeUsedUp: the set does not look again at a stream that was read. It does not hold
// the stream as ready, and nothing is put before the set anew.
func TestEdgeUsedUp(t *testing.T) {
	k, c, s := edgePair(t)
	c.Write([]byte("abc"))
	reported(t, k, 1)
	if n, err := s.Read(make([]byte, 16)); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	if s.known() != 0 {
		t.Error("a short read left it ready")
	}
	k.rearmEdges()
	if n, errno := k.peek(8); n != 0 || errno != 0 {
		t.Errorf("it was put before the set again: %d, %v", n, errno)
	}
	c.Write([]byte("abc"))
	reported(t, k, 1)
	s.Read(make([]byte, 3)) // all there is, and nobody knows
	if s.known() == 0 {
		t.Error("a read of all that was asked for used it up")
	}
	k.rearmEdges()
	if n, errno := k.peek(8); n != 0 || errno != 0 {
		t.Errorf("it was reported with nothing to read: %d, %v", n, errno)
	}
}

// TestEdgeUrgent: urgent data ends a read. What is behind it is reported all the same.
func TestEdgeUrgent(t *testing.T) {
	k, c, s := edgePair(t)
	c.Write([]byte("abc"))
	if err := unix.Sendto(int(c.fd), []byte("!"), unix.MSG_OOB, nil); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("def"))
	got := ""
	for len(got) < 6 {
		reported(t, k, 1)
		p := make([]byte, 16)
		n, err := s.Read(p)
		if err != nil && err != kernel.ErrAgain {
			t.Fatal(err)
		}
		got += string(p[:n])
	}
	if got != "abcdef" {
		t.Errorf("read %q", got)
	}
}

// TestEdgeForStreamsOnly: a listening socket stays ready until all connections were
// accepted. A watched descriptor stays ready too, whoever reads it.
func TestEdgeForStreamsOnly(t *testing.T) {
	k := testEpoll(t, WaitBlock)
	l, c, s := testPair(t, k)
	for _, x := range []*conn{c, s} {
		if e := interest(&x.sock, 1, kernel.Readable); e.Events&unix.EPOLLET == 0 {
			t.Error("a stream is not watched by edges")
		}
	}
	w, err := k.Watch(int(s.fd), int(s.fd))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*sock{&l.sock, &w.(*watched).in} {
		if e := interest(x, 1, kernel.Readable); e.Events != unix.EPOLLIN {
			t.Errorf("watched for %x", e.Events)
		}
	}
}
