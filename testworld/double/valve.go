package double

import (
	"errors"

	"github.com/whorl-go/whorl/kernel"
)

// valve is one end of a connection within the simulation. What the peer has sent waits in front of it until the valve
// is opened, for a number of bytes or for the end.
type valve struct {
	kernel.Conn
	k     *Kernel
	peer  *valve
	token uint32
	armed kernel.Ready

	wrote  int  // bytes that the socket has taken
	read   int  // bytes that have passed the valve
	allow  int  // bytes that may pass
	end    bool // the end may pass
	free   bool // everything may pass
	ended  bool // the end has passed
	closed bool
}

var _ kernel.Vectors = (*valve)(nil)

// Unwrap returns the conn of the simulation.
func (v *valve) Unwrap() kernel.Conn { return v.Conn }

// waiting is how many bytes of the peer wait in front of the valve. Nobody takes those of a conn that is closed.
func (v *valve) waiting() int {
	if v.closed {
		return 0
	}
	return v.peer.wrote - v.read
}

// setFree lets everything pass from now on.
func (v *valve) setFree() error {
	v.free = true
	return v.open(0, true)
}

// open lets n bytes pass, or the end, or nothing.
func (v *valve) open(n int, end bool) error {
	v.allow, v.end = n, end || v.free
	return v.arm(v.token, v.armed)
}

// arm arms the conn below for what may be told.
func (v *valve) arm(token uint32, r kernel.Ready) error {
	v.token, v.armed = token, r
	if v.closed {
		return nil
	}
	if v.allow == 0 && !v.end {
		r &^= kernel.Readable
	}
	if !v.end {
		r &^= kernel.Failed
	}
	return v.k.Kernel.Arm(v.Conn, token, r)
}

// Read reads what may pass.
func (v *valve) Read(p []byte) (int, error) {
	if v.allow == 0 && !v.end {
		return 0, kernel.ErrAgain
	}
	if v.allow > 0 && len(p) > v.allow {
		p = p[:v.allow]
	}
	n, err := v.Conn.Read(p)
	v.read += n
	v.noteEnd(err)
	if v.allow = max(0, v.allow-n); v.allow == 0 && n > 0 && !v.end && err == nil {
		err = v.arm(v.token, v.armed) // it is shut now
	}
	return n, err
}

func (v *valve) noteEnd(err error) {
	if err != nil && !errors.Is(err, kernel.ErrAgain) {
		v.ended = true
	}
}

// Connected tells of a failure that may pass.
func (v *valve) Connected() error {
	if !v.end {
		return nil
	}
	err := v.Conn.Connected()
	v.noteEnd(err)
	return err
}

// Write counts.
func (v *valve) Write(p []byte) (int, error) { return v.written(v.Conn.Write(p)) }

// written counts n bytes. A failure is the end of the connection, which the stream has learnt by this. It then reads all that has
// come before, without waiting, so this must pass.
func (v *valve) written(n int, err error) (int, error) {
	v.wrote += n
	if err != nil && !errors.Is(err, kernel.ErrAgain) {
		_ = v.setFree() // what it fails with would be less than err tells
	}
	return n, err
}

// Writev counts.
func (v *valve) Writev(bufs [][]byte) (int, error) {
	below, ok := kernel.ConnAs[kernel.Vectors](v.Conn)
	if !ok {
		for _, p := range bufs {
			if len(p) > 0 {
				return v.Write(p)
			}
		}
		return 0, nil
	}
	return v.written(below.Writev(bufs))
}

// Close closes the conn.
func (v *valve) Close() error {
	v.closed = true
	return v.Conn.Close()
}

// Abort resets the connection.
func (v *valve) Abort() error {
	v.closed = true
	return v.Conn.Abort()
}

// pair makes a connection within the simulation. Its valves are shut.
func (k *Kernel) pair() (a, b *valve, err error) {
	l, err := k.Kernel.Listen(loopback(0), nil)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	c, err := k.Kernel.Dial(l.Local(), nil)
	if err != nil {
		return nil, nil, err
	}
	const enough = 100 // turns for a handshake that takes no time
	var accepted kernel.Conn
	for range enough {
		if accepted == nil {
			accepted, err = l.Accept()
		}
		if err == nil {
			if err = c.Connected(); err == nil {
				a, b = &valve{Conn: accepted, k: k}, &valve{Conn: c, k: k}
				a.peer, b.peer = b, a
				return a, b, nil
			}
		}
		if err != kernel.ErrAgain {
			break
		}
		if err = k.r.Turn(0); err != nil {
			break
		}
	}
	c.Close()
	if accepted != nil {
		accepted.Close()
	}
	return nil, nil, err
}
