package testworld

import (
	"os"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Faults makes a kernel fail on demand. Its fields may be changed at any time on
// the loop's goroutine; a function that returns nil lets the call through.
type Faults struct {
	// MaxRead and MaxWrite are the most bytes one call moves. Zero: no limit.
	MaxRead  int
	MaxWrite int
	// Wait, Listen, Dial, Arm, Accept, Connected, Read, Write and Reserve are
	// asked before each such call; their error is returned in its place.
	Wait      func() error
	Listen    func(kernel.Addr) error
	Dial      func(kernel.Addr) error
	Arm       func(kernel.Ready) error
	Accept    func() error
	Connected func() error
	Read      func() error
	Write     func() error
	Reserve   func() error
	// Calls counts the calls made, by method name; for Sock methods too.
	Calls map[string]int
	// Closed are the ways in which socks were closed: "close" or "abort".
	Closed []string
}

// Wrap is k with these faults.
func (f *Faults) Wrap(k kernel.Kernel) kernel.Kernel {
	if f.Calls == nil {
		f.Calls = make(map[string]int)
	}
	return &faultyKernel{Kernel: k, f: f}
}

type faultyKernel struct {
	kernel.Kernel
	f *Faults
}

var (
	_ kernel.Watcher  = (*faultyKernel)(nil)
	_ kernel.Reserver = (*faultyKernel)(nil)
	_ kernel.Signals  = (*faultyKernel)(nil)
	_ kernel.Named    = (*faultyKernel)(nil)
	_ kernel.Vectors  = (*faultySock)(nil)
	_ kernel.TCPSock  = (*faultySock)(nil)
)

// Unwrap is the kernel below.
func (k *faultyKernel) Unwrap() kernel.Kernel { return k.Kernel }

// Name is the name of the kernel below.
func (k *faultyKernel) Name() string { return kernel.NameOf(k.Kernel) }

func (f *Faults) ask(name string, fault func() error) error {
	f.Calls[name]++
	if fault == nil {
		return nil
	}
	return fault()
}

func (k *faultyKernel) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	if err := k.f.ask("Wait", k.f.Wait); err != nil {
		return 0, err
	}
	return k.Kernel.Wait(ev, until)
}

func (k *faultyKernel) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Sock, error) {
	k.f.Calls["Listen"]++
	if k.f.Listen != nil {
		if err := k.f.Listen(a); err != nil {
			return nil, err
		}
	}
	return k.f.sock(k.Kernel.Listen(a, o))
}

func (k *faultyKernel) Dial(a kernel.Addr, o *kernel.DialOptions) (kernel.Sock, error) {
	k.f.Calls["Dial"]++
	if k.f.Dial != nil {
		if err := k.f.Dial(a); err != nil {
			return nil, err
		}
	}
	return k.f.sock(k.Kernel.Dial(a, o))
}

func (f *Faults) sock(s kernel.Sock, err error) (kernel.Sock, error) {
	if err != nil {
		return nil, err
	}
	return &faultySock{Sock: s, f: f}, nil
}

func (k *faultyKernel) Arm(s kernel.Sock, token uint32, r kernel.Ready) error {
	k.f.Calls["Arm"]++
	if k.f.Arm != nil {
		if err := k.f.Arm(r); err != nil {
			return err
		}
	}
	return k.Kernel.Arm(s.(*faultySock).Sock, token, r)
}

func (k *faultyKernel) Watch(fd int) (kernel.Sock, error) {
	w, ok := k.Kernel.(kernel.Watcher)
	if !ok {
		return nil, kernel.ErrUnsupported
	}
	return k.f.sock(w.Watch(fd))
}

func (k *faultyKernel) Reserve() error {
	v, ok := k.Kernel.(kernel.Reserver)
	if !ok {
		return kernel.ErrUnsupported
	}
	if err := k.f.ask("Reserve", k.f.Reserve); err != nil {
		return err
	}
	return v.Reserve()
}

func (k *faultyKernel) Release() bool {
	k.f.Calls["Release"]++
	v, ok := k.Kernel.(kernel.Reserver)
	return ok && v.Release()
}

func (k *faultyKernel) Notify(fn func(os.Signal), sigs ...os.Signal) (stop func()) {
	if s, ok := k.Kernel.(kernel.Signals); ok {
		return s.Notify(fn, sigs...)
	}
	return func() {}
}

type faultySock struct {
	kernel.Sock
	f *Faults
}

// Unwrap is the sock below.
func (s *faultySock) Unwrap() kernel.Sock { return s.Sock }

func (s *faultySock) Read(p []byte) (int, error) {
	if err := s.f.ask("Read", s.f.Read); err != nil {
		return 0, err
	}
	if s.f.MaxRead > 0 && len(p) > s.f.MaxRead {
		p = p[:s.f.MaxRead]
	}
	return s.Sock.Read(p)
}

func (s *faultySock) Write(p []byte) (int, error) {
	if err := s.f.ask("Write", s.f.Write); err != nil {
		return 0, err
	}
	if s.f.MaxWrite > 0 && len(p) > s.f.MaxWrite {
		p = p[:s.f.MaxWrite]
	}
	return s.Sock.Write(p)
}

func (s *faultySock) Writev(bufs [][]byte) (int, error) {
	v, ok := s.Sock.(kernel.Vectors)
	if !ok || s.f.MaxWrite > 0 {
		return s.Write(bufs[0])
	}
	if err := s.f.ask("Write", s.f.Write); err != nil {
		return 0, err
	}
	return v.Writev(bufs)
}

func (s *faultySock) Accept() (kernel.Sock, error) {
	if err := s.f.ask("Accept", s.f.Accept); err != nil {
		return nil, err
	}
	return s.f.sock(s.Sock.Accept())
}

func (s *faultySock) Connected() error {
	if err := s.f.ask("Connected", s.f.Connected); err != nil {
		return err
	}
	return s.Sock.Connected()
}

func (s *faultySock) Close() error {
	s.f.Closed = append(s.f.Closed, "close")
	return s.Sock.Close()
}

func (s *faultySock) Abort() error {
	s.f.Closed = append(s.f.Closed, "abort")
	return s.Sock.Abort()
}

func (s *faultySock) SetNoDelay(on bool) error {
	if o, ok := s.Sock.(kernel.TCPSock); ok {
		return o.SetNoDelay(on)
	}
	return kernel.ErrUnsupported
}

func (s *faultySock) NoDelay() (bool, error) {
	if o, ok := s.Sock.(kernel.TCPSock); ok {
		return o.NoDelay()
	}
	return false, kernel.ErrUnsupported
}

func (s *faultySock) SetKeepAlive(on bool) error {
	if o, ok := s.Sock.(kernel.TCPSock); ok {
		return o.SetKeepAlive(on)
	}
	return kernel.ErrUnsupported
}

func (s *faultySock) KeepAlive() (bool, error) {
	if o, ok := s.Sock.(kernel.TCPSock); ok {
		return o.KeepAlive()
	}
	return false, kernel.ErrUnsupported
}
