package netconn_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// each runs a test with a pair of connected Conns, on every kernel and over everything. TLS does not see which of two native kernels is below.
func each(t *testing.T, test func(t *testing.T, w testworld.World, client, server net.Conn)) {
	for name, w := range testworld.Worlds() {
		for _, kind := range []string{overTCP, overUNIX, overTLS} {
			if kind == overTLS && (name == "poll" || name == "select") && runtime.GOOS == "linux" {
				continue
			}
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				client, server := listen(t, running(t, w), kind, netconn.ListenConfig{}).connect(t)
				test(t, w, client, server)
			})
		}
	}
}

// until waits until a condition holds that other goroutines bring about.
func until(t testing.TB, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatal("nothing came of it in 10 s")
		}
	}
}

// blocks waits until a Read or a Write of c waits.
func blocks(t testing.TB, c net.Conn, writes bool) {
	t.Helper()
	until(t, func() bool {
		read, write := netconn.Blocked(c)
		return writes && write || !writes && read
	})
}

// fill calls write, which writes to c, again and again until nothing more is taken anywhere, because the peer does not read. A call that waits then ends by its deadline
// (NETCONN-4), with what it has written. It returns how much that is in all. The deadline comes then only: before, it could pass on a busy machine while nothing is full.
func fill(t testing.TB, c net.Conn, write func() (int, error)) int {
	t.Helper()
	done := make(chan result, 1)
	go func() {
		for total := 0; ; {
			n, err := write()
			if total += n; err != nil {
				done <- result{total, err}
				return
			}
		}
	}()
	r := netconn.LoopOf(c)
	for calm, last := 0, uint64(0); calm < 30; calm++ {
		time.Sleep(time.Millisecond)
		moved, _ := reactor.Ask(r, func() (sum uint64, err error) {
			for s := range r.Streams() {
				st := s.Stats()
				sum += st.In + st.Sent
			}
			return sum, nil
		})
		if _, waits := netconn.Blocked(c); !waits || moved != last {
			calm, last = 0, moved
		}
	}
	_ = c.SetWriteDeadline(time.Now())
	got := <-done
	wantNetError(t, got.err, os.ErrDeadlineExceeded, "write")
	_ = c.SetWriteDeadline(time.Time{})
	return got.n
}

// result of a call on another goroutine.
type result struct {
	n   int
	err error
}

func begin(call func([]byte) (int, error), p []byte) chan result {
	done := make(chan result, 1)
	go func() {
		n, err := call(p)
		done <- result{n, err}
	}()
	return done
}

func wantNetError(t testing.TB, err, target error, op string) {
	t.Helper()
	var o *net.OpError
	if !errors.As(err, &o) || o.Op != op || !errors.Is(err, target) {
		t.Errorf("the error is %v (%T), not a %s that is %v", err, err, op, target)
	}
}

// NETCONN-2: addresses have the types of package net.
func TestAddr(t *testing.T) {
	each(t, func(t *testing.T, w testworld.World, client, server net.Conn) {
		if client.RemoteAddr().String() != server.LocalAddr().String() || client.LocalAddr().String() != server.RemoteAddr().String() {
			t.Errorf("%v to %v is at the other end %v to %v", client.LocalAddr(), client.RemoteAddr(), server.RemoteAddr(), server.LocalAddr())
		}
		switch a := client.RemoteAddr().(type) {
		case *net.TCPAddr:
			if a.Port == 0 || !a.IP.IsLoopback() {
				t.Errorf("the address is %v", a)
			}
		case *net.UnixAddr:
			if a.Name == "" || a.Net != "unix" {
				t.Errorf("the address is %v", a)
			}
		default:
			t.Errorf("the address is a %T", a)
		}
	})
}

// NETCONN-2: New makes a Conn for any transport, which can be used before there is one.
func TestNew(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			c, err := reactor.Ask(r, func() (*netconn.Conn, error) { return netconn.New(r, nil), nil })
			if err != nil {
				t.Fatal(err)
			}
			if c.LocalAddr() != nil || c.RemoteAddr() != nil || c.Reactor() != r {
				t.Errorf("addresses %v and %v before there is a connection", c.LocalAddr(), c.RemoteAddr())
			}
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			_, err = c.Read(make([]byte, 1)) // NETCONN-5: the deadline counts already
			wantNetError(t, err, os.ErrDeadlineExceeded, "read")
			_ = c.SetReadDeadline(time.Time{})
			if _, err := c.Write([]byte("early")); err != nil {
				t.Fatal(err)
			}
			r.Post(func() {
				a, _ := kernel.ParseAddr(p.l.Addr().String())
				r.Dial(a, reactor.One(c.Protocol()), nil, nil)
			})
			server, err := p.l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			defer c.Close()
			got := make([]byte, 5)
			if _, err := io.ReadFull(server, got); err != nil || string(got) != "early" {
				t.Errorf("%q and %v came", got, err)
			}
		})
	}
}

// NETCONN-5: a Read of no bytes asks for nothing, and so does not fail after the deadline, as in package net. After Close it does.
func TestReadNothing(t *testing.T) {
	each(t, func(t *testing.T, _ testworld.World, client, _ net.Conn) {
		_ = client.SetReadDeadline(time.Now().Add(-time.Second))
		if n, err := client.Read(nil); n != 0 || err != nil {
			t.Errorf("NETCONN-5: %d bytes and %v", n, err)
		}
		_, err := client.Read(make([]byte, 1))
		wantNetError(t, err, os.ErrDeadlineExceeded, "read")
		client.Close()
		_, err = client.Read(nil)
		wantNetError(t, err, net.ErrClosed, "read")
	})
}

// NETCONN-5: a deadline without a monotonic reading, such as one that was parsed, is a duration from the call on, as in package net. So it is compared by one clock with the one
// before, although the clock of the system is set between the two.
func TestDeadlineMonotonic(t *testing.T) {
	each(t, func(t *testing.T, _ testworld.World, client, _ net.Conn) {
		at := time.Now().Add(time.Hour).Round(0)
		_ = client.SetReadDeadline(at)
		got := netconn.Deadline(client)
		if got == got.Round(0) || got.Sub(at).Abs() > time.Minute {
			t.Errorf("NETCONN-5: the deadline %v became %v", at, got)
		}
	})
}

// NETCONN-3: a peer that sends for ever while nobody reads has to wait. What waits for Read is bounded, and Read gets all of it, in order.
func TestNobodyReads(t *testing.T) {
	each(t, func(t *testing.T, w testworld.World, client, server net.Conn) {
		sent := 0
		pattern := make([]byte, 1<<20)
		for i := range pattern {
			pattern[i] = byte(i / 256 * 7)
		}
		for _, size := range []int{len(pattern), 1000} { // large pieces, which are lent, and then small ones, which are copied
			fill(t, client, func() (int, error) {
				at := sent % len(pattern)
				n, err := client.Write(pattern[at:min(at+size, len(pattern))])
				sent += n
				return n, err
			})
		}
		if n := netconn.Untaken(client); n > 64<<10 {
			t.Errorf("%d bytes that Write took wait for the transport", n) // NETCONN-4
		}
		if n := netconn.Unread(server); n > 64<<10+256<<10 {
			t.Errorf("%d bytes wait for Read", n)
		}
		if sent < 64<<10 || sent > 64<<20 {
			t.Errorf("Write took %d bytes", sent)
		}
		if err := client.(closeWriter).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_ = server.SetReadDeadline(time.Now().Add(testworld.Limit))
		got := 0
		for buf := make([]byte, 40_000); ; {
			n, err := server.Read(buf)
			for len(buf[:n]) > 0 && got%len(pattern)+n <= len(pattern) {
				if at := got % len(pattern); !bytes.Equal(buf[:n], pattern[at:at+n]) {
					t.Fatalf("other bytes came at %d", got)
				}
				break
			}
			if got += n; err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if got != sent {
			t.Errorf("%d bytes came of %d that Write took", got, sent)
		}
	})
}

type closeWriter interface{ CloseWrite() error }

// NETCONN-4: Write waits when too much is unsent, and goes on when the peer reads. The slice belongs to the caller when it returns.
func TestSlowReader(t *testing.T) {
	each(t, func(t *testing.T, w testworld.World, client, server net.Conn) {
		const size = 24 << 20 // more than the buffers of any system
		done := make(chan error, 1)
		go func() {
			buf := make([]byte, 300_000)
			for sent := 0; sent < size; {
				p := buf[:min(len(buf), 1+sent%len(buf), size-sent)]
				for i := range p {
					p[i] = byte((sent + i) >> 8)
				}
				n, err := client.Write(p)
				clear(p)
				if err != nil {
					done <- err
					return
				}
				sent += n
			}
			done <- client.(closeWriter).CloseWrite()
		}()
		blocks(t, client, true)
		got := 0
		for buf := make([]byte, 100_000); ; {
			n, err := server.Read(buf)
			for i, b := range buf[:n] {
				if b != byte((got+i)>>8) {
					t.Fatalf("byte %d is %d", got+i, b)
				}
			}
			if got += n; err != nil {
				if err != io.EOF || got != size {
					t.Fatalf("%v after %d bytes", err, got)
				}
				break
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// NETCONN-5: a deadline that moves counts for calls that wait already: later, earlier, and none.
func TestDeadlineMoves(t *testing.T) {
	each(t, func(t *testing.T, w testworld.World, client, server net.Conn) {
		in := func(d time.Duration) time.Time { return time.Now().Add(d) }
		for _, dir := range []struct {
			op     string
			writes bool
			set    func(time.Time) error
			call   func([]byte) (int, error)
			p      []byte
		}{
			{"read", false, client.SetReadDeadline, client.Read, make([]byte, 10)},
			{"write", true, client.SetWriteDeadline, client.Write, make([]byte, 64<<20)},
		} {
			still := func(c chan result, when string) {
				select {
				case got := <-c:
					t.Fatalf("%s, and %s ended with %d bytes and %v", when, dir.op, got.n, got.err)
				case <-time.After(15 * time.Millisecond):
				}
			}
			var c chan result
			for later := false; !later; { // the first deadline may pass before it is moved, on a busy machine
				first := in(20 * time.Millisecond)
				_ = dir.set(first)
				c = begin(dir.call, dir.p)
				end := in(60 * time.Millisecond)
				_ = dir.set(end) // later: the first one comes to nothing
				later = time.Now().Before(first)
				wantNetError(t, (<-c).err, os.ErrDeadlineExceeded, dir.op)
				if later && time.Now().Before(end) && !w.Simulated() {
					t.Errorf("%s ended %v before the deadline that was moved", dir.op, time.Until(end))
				}
			}
			_ = dir.set(in(time.Minute))
			c = begin(dir.call, dir.p)
			blocks(t, client, dir.writes)
			_ = dir.set(in(time.Hour)) // later
			still(c, "the deadline is in an hour")
			_ = dir.set(in(5 * time.Millisecond)) // earlier
			wantNetError(t, (<-c).err, os.ErrDeadlineExceeded, dir.op)
			if _, err := dir.call(dir.p[:1]); !isTimeout(err) { // it stays so
				t.Errorf("%s after the deadline is %v", dir.op, err)
			}
			_ = dir.set(in(time.Hour))
			c = begin(dir.call, dir.p)
			blocks(t, client, dir.writes)
			_ = dir.set(time.Time{}) // none
			still(c, "there is no deadline")
			_ = dir.set(in(-time.Second)) // past
			wantNetError(t, (<-c).err, os.ErrDeadlineExceeded, dir.op)
			_ = dir.set(time.Time{})
		}
	})
}

// NETCONN-6: Close ends calls that wait, with net.ErrClosed, and sends what was written. Later calls, and another Close, fail so too.
func TestCloseBesideCalls(t *testing.T) {
	each(t, func(t *testing.T, w testworld.World, client, server net.Conn) {
		reads := []chan result{begin(client.Read, make([]byte, 10)), begin(client.Read, make([]byte, 10))}
		writes := []chan result{begin(client.Write, make([]byte, 64<<20)), begin(client.Write, make([]byte, 100))}
		blocks(t, client, false)
		blocks(t, client, true)
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		for _, c := range reads {
			wantNetError(t, (<-c).err, net.ErrClosed, "read")
		}
		taken := 0
		for _, c := range writes {
			got := <-c
			if taken += got.n; got.err != nil || got.n != 100 { // the small one may have been first
				wantNetError(t, got.err, net.ErrClosed, "write")
			}
		}
		got, err := io.ReadAll(server)
		if err != nil || len(got) != taken {
			t.Errorf("%d bytes of %d came, and %v", len(got), taken, err)
		}
		_, err = client.Read(nil)
		wantNetError(t, err, net.ErrClosed, "read")
		_, err = client.Write(nil)
		wantNetError(t, err, net.ErrClosed, "write")
		wantNetError(t, client.Close(), net.ErrClosed, "close")
		wantNetError(t, client.SetDeadline(time.Time{}), net.ErrClosed, "set")
		wantNetError(t, client.(closeWriter).CloseWrite(), net.ErrClosed, "close")
	})
}

// NETCONN-6: CloseWrite ends our direction alone, and CloseRead reading alone.
func TestHalfClose(t *testing.T) {
	each(t, func(t *testing.T, w testworld.World, client, server net.Conn) {
		_, _ = client.Write([]byte("question"))
		if err := client.(closeWriter).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		_, err := client.Write([]byte("x"))
		wantNetError(t, err, net.ErrClosed, "write")
		if got, err := io.ReadAll(server); string(got) != "question" || err != nil {
			t.Errorf("%q and %v came", got, err)
		}
		_, _ = server.Write([]byte("answer"))
		got := make([]byte, 6)
		if _, err := io.ReadFull(client, got); string(got) != "answer" || err != nil {
			t.Errorf("%q and %v came", got, err)
		}
		c := begin(client.Read, got)
		blocks(t, client, false)
		if err := client.(interface{ CloseRead() error }).CloseRead(); err != nil {
			t.Fatal(err)
		}
		if got := <-c; got.n != 0 || got.err != io.EOF {
			t.Errorf("a Read that waited for CloseRead has %v", got)
		}
		_, _ = server.Write(bytes.Repeat([]byte("dropped"), 100_000))
		if n, err := client.Read(got); n != 0 || err != io.EOF {
			t.Errorf("Read after CloseRead has %d bytes and %v", n, err)
		}
	})
}

// NETCONN-6: CloseWrite tells of a loss, because what was written before has not arrived.
func TestHalfCloseLost(t *testing.T) {
	each(t, func(t *testing.T, w testworld.World, client, server net.Conn) {
		if _, err := client.Write([]byte("unread")); err != nil {
			t.Fatal(err)
		}
		_ = server.(interface{ Abort() error }).Abort()
		_, err := client.Read(make([]byte, 1))
		if err == io.EOF {
			t.Skip("this system does not tell of a reset by a UNIX socket")
		}
		wantNetError(t, err, reactor.ErrLost, "read")
		wantNetError(t, client.(closeWriter).CloseWrite(), reactor.ErrLost, "close")
		wantNetError(t, client.(closeWriter).CloseWrite(), reactor.ErrLost, "close")
		_ = client.Close()
		wantNetError(t, client.(closeWriter).CloseWrite(), net.ErrClosed, "close")
	})
}

// NETCONN-6: a reset of the peer ends calls that wait, with its cause, and Abort is one.
func TestAbort(t *testing.T) {
	each(t, func(t *testing.T, w testworld.World, client, server net.Conn) {
		read, write := begin(server.Read, make([]byte, 10)), begin(server.Write, make([]byte, 64<<20))
		blocks(t, server, false)
		blocks(t, server, true)
		if err := client.(interface{ Abort() error }).Abort(); err != nil {
			t.Fatal(err)
		}
		wantReset(t, client, (<-read).err)
		wantNetError(t, (<-write).err, reactor.ErrLost, "write")
	})
}

// wantReset fails the test unless err is how a Read fails after a reset. UNIX sockets have none: the peer may see an end.
func wantReset(t testing.TB, c net.Conn, err error) {
	t.Helper()
	if c.LocalAddr().Network() != "unix" || err != nil && err != io.EOF {
		wantNetError(t, err, reactor.ErrLost, "read")
	}
}

// NETCONN-6: Abort ends a connection too on which Close waits for a peer that does not read.
func TestAbortAfterClose(t *testing.T) {
	each(t, func(t *testing.T, w testworld.World, client, server net.Conn) {
		fill(t, client, func() (int, error) { return client.Write(make([]byte, 64<<20)) })
		_ = client.Close()
		if err := client.(interface{ Abort() error }).Abort(); err != nil {
			t.Error(err)
		}
		n, err := io.Copy(io.Discard, server)
		if n > 8<<20 {
			t.Errorf("%d bytes came", n)
		}
		wantReset(t, client, err)
	})
}

// NETCONN-6: the end of the loop, in order or with its goroutine, ends calls that wait, with reactor.ErrStopped.
func TestLoopEnds(t *testing.T) {
	for name, w := range testworld.Worlds() {
		for how, end := range map[string]func(*reactor.Reactor){
			"stop": func(r *reactor.Reactor) { _ = r.Stop() },
			"die":  func(*reactor.Reactor) { runtime.Goexit() },
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				log := testworld.NewLog(t)
				if how == "die" {
					log.Expect("the loop's goroutine ends inside a callback")
				}
				r := w.New(t, reactor.Config{Logger: log.Logger()})
				testworld.Beside(t, r)
				p := listen(t, r, overTCP, netconn.ListenConfig{})
				client, _ := p.connect(t)
				read, write := begin(client.Read, make([]byte, 10)), begin(client.Write, make([]byte, 64<<20))
				accept := make(chan error, 1)
				go func() {
					_, err := p.l.Accept()
					accept <- err
				}()
				blocks(t, client, false)
				blocks(t, client, true)
				r.Post(func() { end(r) })
				wantNetError(t, (<-read).err, reactor.ErrStopped, "read")
				wantNetError(t, (<-write).err, reactor.ErrStopped, "write")
				wantNetError(t, <-accept, reactor.ErrStopped, "accept")
				if _, err := p.d.Dial("tcp", p.l.Addr().String()); !errors.Is(err, reactor.ErrStopped) {
					t.Errorf("Dial is %v", err)
				}
				<-r.Done() // until then, New is the loop's
				_, err := netconn.New(r, nil).Read(make([]byte, 1))
				wantNetError(t, err, reactor.ErrStopped, "read")
				_ = client.Close() // harmless
				if err := p.l.Close(); err == nil {
					t.Error("the Listener could still be closed")
				}
			})
		}
	}
}

// faulty is a transport whose Write panics once.
type faulty struct {
	reactor.Connection
	done *bool
}

func (f *faulty) Unwrap() reactor.Transport { return f.Connection }
func (f *faulty) Write(p []byte) (int, error) {
	if !*f.done {
		*f.done = true
		panic("faulty")
	}
	return f.Connection.Write(p)
}

// over gives a protocol a faulty transport.
type overFaulty struct {
	reactor.Protocol
	done bool
}

func (o *overFaulty) Unwrap() reactor.Protocol { return o.Protocol }
func (o *overFaulty) ConnectionMade(t reactor.Transport) {
	o.Protocol.ConnectionMade(&faulty{reactor.ConnectionOf(t), &o.done})
}

// a panic of a transport ends its connection, and keeps no other Conn from being served.
func TestPanic(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			panics := make(chan *reactor.PanicError, 1)
			r := w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { panics <- e }})
			testworld.Beside(t, r)
			p := listen(t, r, overTCP, netconn.ListenConfig{})
			good, far := p.connect(t)
			p.d.Over = func(f reactor.Factory) reactor.Factory {
				return reactor.FactoryFunc(func(a kernel.Addr) reactor.Protocol { return &overFaulty{Protocol: f.BuildProtocol(a)} })
			}
			bad, _ := p.connect(t)
			hold := make(chan struct{})
			r.Post(func() { <-hold }) // both stand in one batch
			_, _ = bad.Write([]byte("x"))
			_, _ = good.Write([]byte("hello"))
			close(hold)
			got := make([]byte, 5)
			if _, err := io.ReadFull(far, got); err != nil || string(got) != "hello" {
				t.Errorf("%q and %v came", got, err)
			}
			if e := <-panics; e.Value != "faulty" {
				t.Errorf("the panic is %v", e)
			}
			_, err := bad.Read(got)
			wantNetError(t, err, reactor.ErrAborted, "read")
		})
	}
}
