package reactor_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// busyKernel is a kernel that costs nothing: every conn that was accepted is ready to be
// read, for ever, and takes what is written.
type busyKernel struct {
	kernel.Kernel
	wait  int // connections to be accepted yet
	ready []uint32
}

type busyConn struct{ kernel.Conn }

func (k *busyKernel) Unwrap() kernel.Kernel { return k.Kernel }
func (k *busyKernel) Now() time.Duration    { return 1 }
func (k *busyKernel) Wake()                 {}
func (k *busyKernel) Close() error          { return nil }

func (k *busyKernel) Listen(kernel.Addr, *kernel.ListenOptions) (kernel.Listener, error) {
	return &busyListener{k: k}, nil
}

func (k *busyKernel) Arm(_ kernel.Handle, token uint32, r kernel.Ready) error {
	if r == kernel.Readable {
		k.ready = append(k.ready, token)
	}
	return nil
}

func (k *busyKernel) Wait(ev []kernel.Event, _ time.Duration) (int, error) {
	n := min(len(ev), len(k.ready))
	for i, token := range k.ready[:n] {
		ev[i] = kernel.Event{Token: token, Ready: kernel.Readable}
	}
	return n, nil
}

// busyListener accepts what its kernel has.
type busyListener struct{ k *busyKernel }

func (l *busyListener) Close() error       { return nil }
func (l *busyListener) Local() kernel.Addr { return loopback }

func (l *busyListener) Accept() (kernel.Conn, error) {
	if l.k.wait == 0 {
		return nil, kernel.ErrAgain
	}
	l.k.wait--
	return &busyConn{}, nil
}

func (s *busyConn) Unwrap() kernel.Conn         { return s.Conn }
func (s *busyConn) Read(p []byte) (int, error)  { return 64, nil }
func (s *busyConn) Write(p []byte) (int, error) { return len(p), nil }
func (s *busyConn) Local() kernel.Addr          { return loopback }
func (s *busyConn) Remote() kernel.Addr         { return loopback }
func (s *busyConn) Close() error                { return nil }
func (s *busyConn) Abort() error                { return nil }

// answerer is a protocol that answers each piece.
type answerer struct{ reactor.Base }

func (p *answerer) DataReceived(b []byte) { p.T.Write(b) }

// silent is a protocol that says nothing.
type silent struct{ reactor.Base }

func (p *silent) DataReceived([]byte) {}

// What the reactor adds to an event, without any system call.
func BenchmarkEvent(b *testing.B) {
	for name, f := range map[string]reactor.Factory{"read": reactor.Each[silent](), "echo": reactor.Each[answerer]()} {
		b.Run(name, func(b *testing.B) {
			k := &busyKernel{wait: 256}
			r := reactor.New(k, reactor.Config{})
			defer r.Close()
			if _, err := r.Listen(loopback, f, nil); err != nil {
				b.Fatal(err)
			}
			for len(k.ready) < 257 {
				r.Turn(0)
			}
			k.ready = k.ready[1:]
			first := r.Stats().Events
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i = int(r.Stats().Events - first) {
				r.Turn(0)
			}
		})
	}
}
