package counts

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
)

// counted is a kernel that counts the calls of its reactor.
type counted struct {
	kernel.Kernel
	waits, arms, reads, writes int
}

func (k *counted) Unwrap() kernel.Kernel { return k.Kernel }

func (k *counted) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	k.waits++
	return k.Kernel.Wait(ev, until)
}

func (k *counted) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	k.arms++
	return k.Kernel.Arm(handleOf(h), token, r)
}

func (k *counted) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	l, err := k.Kernel.Listen(a, o)
	if err != nil {
		return nil, err
	}
	return &countedListener{l, k}, nil
}

func (k *counted) Dial(a kernel.Addr, o *kernel.DialOptions) (kernel.Conn, error) {
	return k.conn(k.Kernel.Dial(a, o))
}

func (k *counted) conn(c kernel.Conn, err error) (kernel.Conn, error) {
	if err != nil {
		return nil, err
	}
	return &countedConn{c, k}, nil
}

type countedListener struct {
	kernel.Listener
	k *counted
}

func (l *countedListener) Accept() (kernel.Conn, error) { return l.k.conn(l.Listener.Accept()) }

type countedConn struct {
	kernel.Conn
	k *counted
}

func (c *countedConn) Read(p []byte) (int, error) {
	c.k.reads++
	return c.Conn.Read(p)
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.k.writes++
	return c.Conn.Write(p)
}

// handleOf is the kernel's own handle.
func handleOf(h kernel.Handle) kernel.Handle {
	switch h := h.(type) {
	case *countedConn:
		return h.Conn
	case *countedListener:
		return h.Listener
	}
	return h
}

// echo sends back what comes.
type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { e.T.Write(p) }

// asker counts what comes back.
type asker struct {
	reactor.Base
	got int
}

func (a *asker) DataReceived(p []byte) { a.got += len(p) }

var anyPort = kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)

// A message of 64 bytes that is echoed takes one write and one read of each end and a Wait, whether messages come one by one or 16
// together, no Arm, and no memory.
func TestMessage(t *testing.T) {
	for _, name := range native.Names() {
		for _, together := range []int{1, 16} {
			inner, err := native.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			k := &counted{Kernel: inner}
			r := reactor.New(k, reactor.Config{})
			port, err := r.Listen(anyPort, reactor.Each[echo](), nil)
			if err != nil {
				t.Fatal(err)
			}
			ask := new(asker)
			r.Dial(port.Addr(), reactor.One(ask), nil, nil)
			for ask.T == nil {
				r.Turn(-1)
			}
			msg := make([]byte, 64)
			round := func() {
				want := ask.got + together*len(msg)
				for range together {
					ask.T.Write(msg)
				}
				for ask.got < want {
					r.Turn(-1)
				}
			}
			const rounds = 200
			for range rounds {
				round()
			}
			*k = counted{Kernel: inner}
			allocs := testing.AllocsPerRun(rounds-1, round) // which calls it once more
			if allocs != 0 {
				t.Errorf("%s, %d together: %v allocations for a message", name, together, allocs)
			}
			per := func(what string, n, most int) {
				got := float64(n) / rounds
				t.Logf("%s, %d together: %.2f times %s", name, together, got, what)
				if got > float64(most)*1.05 {
					t.Errorf("%s, %d together: %.2f times %s, at most %d", name, together, got, what, most)
				}
			}
			per("Write", k.writes, 2)
			per("Read", k.reads, 2)
			per("Arm", k.arms, 0)
			per("Wait", k.waits, 2)
			r.Close()
		}
	}
}

// A connection that waits takes no more than this much memory, with a protocol of 16 bytes, and leaves no more garbage than the
// difference.
func TestIdleConnection(t *testing.T) {
	const n, live, allocated = 4000, 230, 230
	k, err := native.Open("epoll")
	if err != nil {
		t.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	defer r.Close()
	port, err := r.Listen(anyPort, reactor.Each[echo](), nil)
	if err != nil {
		t.Fatal(err)
	}
	sa := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: int(port.Addr().Port())}
	fds := make([]int, 0, n)
	defer func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
	}()
	connect := func(many int) {
		for range many {
			fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			fds = append(fds, fd)
			if err := syscall.Connect(fd, sa); err != nil {
				t.Fatal(err)
			}
			for r.Stats().Connections < len(fds) {
				r.Turn(-1)
			}
		}
	}
	connect(n / 4) // past the beginning of tables
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	connect(n - n/4)
	runtime.ReadMemStats(&after)
	got := (after.TotalAlloc - before.TotalAlloc) / (n - n/4)
	t.Logf("%d bytes allocated", got)
	if got > allocated {
		t.Errorf("a connection allocates %d bytes, at most %d", got, allocated)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	got = (after.HeapAlloc - before.HeapAlloc) / (n - n/4)
	t.Logf("%d bytes held", got)
	if got > live {
		t.Errorf("a connection that waits has %d bytes, at most %d", got, live)
	}
}

// A pipe of a child that waits takes little more than a connection.
func TestIdlePipe(t *testing.T) {
	const children, pipes, live = 20, 100, 230
	k, err := native.Open("epoll")
	if err != nil {
		t.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	defer r.Close()
	var all []*process.Child
	spawn := func(many int) {
		for range many {
			c := process.NewCommand("/bin/sleep", "1000")
			c.Files = make(map[int]process.File)
			for fd := range pipes {
				c.Files[3+fd] = process.ReadPipe()
			}
			child, err := process.Spawn(r, c, new(process.Base))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, child)
			r.Turn(0)
		}
	}
	defer func() {
		for _, c := range all {
			c.Kill(0)
		}
		for end := r.Now() + time.Minute; r.Stats().Connections > 0 && r.Now() < end; {
			r.Turn(time.Second)
		}
	}()
	spawn(children / 4) // past the beginning of tables
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	spawn(children - children/4)
	runtime.GC()
	runtime.ReadMemStats(&after)
	got := (after.HeapAlloc - before.HeapAlloc) / ((children - children/4) * pipes)
	t.Logf("%d bytes held", got)
	if got > live {
		t.Errorf("a pipe that waits has %d bytes, at most %d", got, live)
	}
}

// A program that uses the front door, and nothing else, is no larger than this.
func TestProgramSize(t *testing.T) {
	const most = 8 << 20
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	c := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, "github.com/whorl-go/whorl/examples/echo")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > most {
		t.Errorf("the program has %d bytes, at most %d", info.Size(), most)
	}
}
