//go:build unix

package reactor_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"unsafe"
	"weak"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// counter only counts, and keeps its transport.
type counter struct {
	reactor.Base
	n int
}

func (c *counter) DataReceived(p []byte) { c.n += len(p) }

// An echoed message costs no memory.
func TestEchoAllocs(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		for _, size := range []int{64, 16 << 10} {
			runs := 200
			if w.Chunk() > 0 { // less, for single bytes
				if runs = 50; size > 64 {
					continue
				}
			}
			r := w.New(t, reactor.Config{})
			var srv echo
			var cli counter
			connect(t, r, &srv, &cli)
			msg := make([]byte, size)
			want := 0
			exchange := func() {
				want += size
				if _, err := cli.T.Write(msg); err != nil {
					t.Fatal(err)
				}
				for cli.n < want {
					if err := r.Turn(-1); err != nil {
						t.Fatal(err)
					}
				}
			}
			if n := testing.AllocsPerRun(runs, exchange); n != 0 {
				t.Errorf("%v allocations for a message of %d bytes", n, size)
			}
			if srv.n == 0 || cli.n != want {
				t.Errorf("%d bytes came back of %d", cli.n, want)
			}
		}
	})
}

const (
	idleConns = 10000
	idleBytes = 400
)

// D11: the memory of an idle connection, with its protocol. The clients are in another
// process, because this one has too few descriptors for both.
func TestIdleMemory(t *testing.T) {
	nativeWorlds(t, "rlimits, and clients in another process", func(t *testing.T, w testworld.World) {
		if raced {
			return // it is no race, and the detector has memory of its own
		}
		if w.Name() == "select" {
			return // it has no room for so many
		}
		needed := unix.Rlimit{}
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &needed); err != nil || needed.Cur < idleConns+100 {
			t.Fatalf("%d descriptors are too few: %v", needed.Cur, err)
		}
		r := w.New(t, reactor.Config{})
		p := listen(t, r, reactor.Each[counter](), nil)
		testworld.Turns(t, r, 3)
		before := heap()
		c := startChild(t, "idle "+p.Addr().String())
		until(t, r, func() bool { return p.Stats().Open == idleConns })
		c.hear(t, "connected")
		testworld.Turns(t, r, 3)
		each := (int64(heap()) - int64(before)) / idleConns
		t.Logf("%d bytes of heap for each of %d idle connections on %s", each, idleConns, w.Name())
		if each > idleBytes {
			t.Errorf("D11: %d bytes of heap for an idle connection; at most %d", each, idleBytes)
		}
		if each < 100 {
			t.Errorf("D11: %d bytes of heap for an idle connection are not to be believed", each)
		}
		c.stop(t)
		until(t, r, func() bool { return p.Stats().Open == 0 })
	})
}

// DESC-41: what was sent of one large write is freed while the rest waits.
func TestSentIsFreed(t *testing.T) {
	const size, slack = 16 << 20, 2 << 20 // a mebibyte stays in the free list
	all := pattern(size)
	heavy(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		writers, readers := stuck(t, r, 1, reactor.StreamConfig{}, all)
		e := writers[0]
		before := int(heap())
		e.s.Write(all)
		for _, part := range []int{2, 4, 8} {
			read(t, r, readers, func() bool { return e.s.Buffered() <= size/part })
			used, waiting := int(heap())-before, e.s.Buffered()
			if waiting == 0 || used < waiting/2 || used > waiting+slack {
				t.Errorf("DESC-41: %d bytes wait, and %d are in use", waiting, used)
			}
		}
		read(t, r, readers, func() bool { return readers[0].n == size })
	})
}

// A queue that was emptied keeps nothing of what it had, and after a burst no memory for as much.
func TestPostedIsFreed(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := weak.Make(func() *[64]byte {
			big := new([64]byte)
			r.Post(func() { big[0]++ })
			return big
		}())
		testworld.Turns(t, r, 1)
		for i := 0; i < 100 && p.Value() != nil; i++ {
			runtime.GC()
		}
		if p.Value() != nil {
			t.Error("the reactor keeps what it has called")
		}
		if w.Simulated() || raced {
			return // the network remembers what has happened, and the detector is slow
		}
		const burst = 1 << 18
		before, called := int(heap()), 0
		again := func() { called++ }
		for range burst {
			r.Post(again)
		}
		testworld.Turns(t, r, 2)
		if kept := int(heap()) - before; called != burst || kept > 4*burst {
			t.Errorf("%d functions were called, and %d bytes are kept", called, kept)
		}
		runtime.KeepAlive(r)
	})
}

// heap is what is in use after everything else was collected.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// childIdle makes the connections and keeps them until its parent is content.
func childIdle(t *testing.T, addr string) {
	at := netip.MustParseAddrPort(addr)
	sa := &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	fds := make([]int, 0, idleConns)
	for range idleConns {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err == nil {
			err = unix.Connect(fd, sa)
		}
		if err != nil {
			t.Fatalf("connection %d: %v", len(fds), err)
		}
		fds = append(fds, fd)
	}
	fmt.Println("connected")
	<-parentGone()
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// A Stream fills a size class of the allocator: one word more would cost each connection 16 bytes.
func TestStreamSize(t *testing.T) {
	if n := unsafe.Sizeof(reactor.Stream{}); n > 112 {
		t.Errorf("a Stream has %d bytes", n)
	}
}
