package netconn_test

import (
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// NETCONN-3: reads with long slices get everything in order, whoever makes the system call: the loop, or on Linux the goroutine. Between them come reads with short
// slices, pauses, and at last the end.
func TestLongReads(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			client, server := listen(t, running(t, w), overTCP, netconn.ListenConfig{}).connect(t)
			const size = 8 << 20
			go func() {
				p := make([]byte, 200_000)
				for sent := 0; sent < size; {
					part := p[:min(len(p), size-sent, 1+sent%len(p))]
					for i := range part {
						part[i] = byte((sent + i) >> 8)
					}
					if _, err := client.Write(part); err != nil {
						return
					}
					sent += len(part)
				}
				_ = client.(closeWriter).CloseWrite()
			}()
			_ = server.SetReadDeadline(time.Now().Add(testworld.Limit))
			long, lent := make([]byte, 64<<10), 0
			for got, i := 0, 0; ; i++ {
				p := long
				if i%100 == 99 {
					p = p[:1+i%5000]
				}
				n, err := server.Read(p)
				for j, b := range p[:n] {
					if b != byte((got+j)>>8) {
						t.Fatalf("byte %d is %d", got+j, b)
					}
				}
				if netconn.Lent(server) {
					lent++
				}
				if got += n; err != nil {
					if err != io.EOF || got != size {
						t.Errorf("%v after %d bytes of %d", err, got, size)
					}
					break
				}
			}
			if name == "epoll" && lent == 0 {
				t.Error("the goroutine has never read by itself")
			}
			if n, err := server.Read(long); n != 0 || err != io.EOF {
				t.Errorf("%d bytes and %v came behind the end", n, err)
			}
		})
	}
}

// NETCONN-5, NETCONN-6: a Read that reads by itself keeps deadlines and ends: of our side, of the peer, and of the loop. What has come is read before.
func TestLongReadEnds(t *testing.T) {
	for name, w := range testworld.Worlds() {
		for _, how := range []string{"deadline", "close", "closeread", "peer", "reset", "stop", "die"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				testLongReadEnds(t, w, how)
			})
		}
	}
}

func testLongReadEnds(t *testing.T, w testworld.World, how string) {
	log := testworld.NewLog(t)
	if how == "die" {
		log.Expect("the loop's goroutine ends inside a callback")
	}
	r := w.New(t, reactor.Config{Logger: log.Logger()})
	testworld.Beside(t, r)
	client, server := listen(t, r, overTCP, netconn.ListenConfig{}).connect(t)
	_ = server.SetReadDeadline(time.Now().Add(testworld.Limit))
	buf := make([]byte, 16<<10)
	read := begin(server.Read, buf)
	blocks(t, server, false)
	_, _ = client.Write(make([]byte, len(buf)))
	if got := <-read; got.n == 0 || got.err != nil {
		t.Fatalf("%d bytes and %v came", got.n, got.err)
	}
	switch how {
	case "deadline":
		_ = server.SetReadDeadline(time.Now().Add(-time.Second))
		_, err := server.Read(buf)
		wantNetError(t, err, os.ErrDeadlineExceeded, "read")
		_ = server.SetReadDeadline(time.Now().Add(testworld.Limit))
		_, _ = client.Write([]byte("hello"))
		comes(t, server, "hello")
	case "close":
		_ = server.Close()
		if _, err := io.ReadAll(client); err != nil {
			t.Error(err)
		}
	case "closeread":
		_ = server.(interface{ CloseRead() error }).CloseRead()
		if n, err := server.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("%d bytes and %v came", n, err)
		}
	case "peer":
		_, _ = client.Write([]byte("hello"))
		_ = client.Close()
		comes(t, server, "hello")
		if n, err := server.Read(buf); n != 0 || err != io.EOF {
			t.Errorf("%d bytes and %v came", n, err)
		}
	case "reset":
		_ = client.(interface{ Abort() error }).Abort()
		_, err := server.Read(buf)
		wantNetError(t, err, kernel.ErrReset, "read")
	case "stop", "die":
		read := begin(server.Read, buf)
		r.Post(func() {
			if how == "stop" {
				_ = r.Stop()
				return
			}
			runtime.Goexit()
		})
		wantNetError(t, (<-read).err, reactor.ErrStopped, "read")
	}
}
