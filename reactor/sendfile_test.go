package reactor_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// fileSource is a producer that sends a file by SendFile, and nothing else.
type fileSource struct {
	source
	s      *reactor.Stream
	rest   kernel.FileRange
	paused bool
	err    error
	// part: the method Unfinished says so.
	part bool
}

func (p *fileSource) Unfinished() bool { return p.part }

// newFile is a file with content, in a range that is all of it.
func newFile(t *testing.T, content []byte) kernel.FileRange {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return kernel.FileRange{File: f, Length: len(content), MayWait: true}
}

// sends makes a fileSource of f for s, and registers it.
func sends(t *testing.T, s *reactor.Stream, f kernel.FileRange) *fileSource {
	t.Helper()
	p := &fileSource{s: s, rest: f}
	p.onPause = func() { p.paused = true }
	p.onResume = func() { p.paused = false; p.goOn() }
	register(t, s, p)
	return p
}

// goOn sends until the producer is paused, stopped or at its end. Then it unregisters.
func (p *fileSource) goOn() {
	for !p.paused && p.err == nil && p.rest.Length > 0 {
		n, err := p.s.SendFile(p.rest)
		p.rest.Offset += int64(n)
		p.rest.Length -= n
		if p.err = err; n == 0 && err == nil && !p.paused {
			return // stopped
		}
	}
	if p.rest.Length == 0 {
		p.s.UnregisterProducer()
	}
}

// PROD-22: a file goes out in order with what is written, whole, however it is cut. PROD-23: the producer is paused while the socket is full, and
// nothing of the file is buffered. Close and CloseWrite wait for the producer.
func TestStreamSendFile(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		var srv, cli end
		connectWith(t, r, nil, &srv, &cli)
		want := pattern(bulk(w, 6<<20))
		head := len(want) / 10
		p := sends(t, srv.s, newFile(t, want[head:]))
		if w.Simulated() {
			if n, err := srv.s.SendFile(p.rest); n != 0 || err != kernel.ErrMustRead {
				t.Errorf("PROD-22: without kernel.Files: %d, %v", n, err)
			}
			return
		}
		cli.s.PauseProducing()
		srv.s.Write(want[:head])
		p.goOn()
		if w.Chunk() == 0 {
			for calls := -1; calls != f.Calls["WriteFile"]; { // until nothing moves
				calls = f.Calls["WriteFile"]
				testworld.Turns(t, r, 20)
			}
			if s := srv.s.Stats(); !p.paused || p.rest.Length == 0 || s.Buffered != 0 {
				t.Errorf("PROD-23: the peer reads nothing: paused %v, %d bytes of the file are left, %+v", p.paused, p.rest.Length, s)
			}
			told, calls := len(p.told), f.Calls["WriteFile"]
			cli.s.Write([]byte("input")) // which settles the stream
			until(t, r, func() bool { return len(srv.got) == 5 })
			if testworld.Turns(t, r, 2); len(p.told) != told && f.Calls["WriteFile"] == calls {
				t.Errorf("PROD-23: the producer was told %v, though the socket has not said that there is room", p.told[told:])
			}
		}
		srv.s.Close()
		cli.s.ResumeProducing()
		until(t, r, func() bool { return srv.err != nil && cli.err != nil })
		if !bytes.Equal(cli.got, want) || cli.err != io.EOF || srv.err != reactor.ErrClosed || p.err != nil {
			t.Errorf("PROD-22: %d bytes of %d came, or others; the ends: %v, %v; %v", len(cli.got), len(want), srv.err, cli.err, p.err)
		}
		if s := srv.s.Stats(); int(s.Sent) != len(want) || s.Buffered != 0 {
			t.Errorf("PROD-22: %+v", s)
		}
	})
}

// PROD-23: a call sends at most 256 KiB of a file, then the producer is paused, whatever the marks are. A turn has two calls at most: one for the
// socket, and one before the loop waits.
func TestStreamSendFileBounded(t *testing.T) {
	nativeWorlds(t, "no kernel.Files", func(t *testing.T, w testworld.World) {
		for _, high := range []int{0, 64 << 20} {
			r, f := faulty(t, w)
			var srv, cli end
			connectWith(t, r, &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: high}}, &srv, &cli)
			const size = 8 << 20
			p := sends(t, srv.s, newFile(t, make([]byte, size)))
			p.goOn()
			for p.rest.Length > 0 {
				before := srv.s.Stats().Sent
				testworld.Turns(t, r, 1)
				if n := srv.s.Stats().Sent - before; n > 512<<10 {
					t.Fatalf("PROD-23: %d bytes in a turn", n)
				}
			}
			until(t, r, func() bool { return len(cli.got) == size })
			if f.Calls["WriteFile"] < size/(256<<10) {
				t.Errorf("PROD-23: %d calls", f.Calls["WriteFile"])
			}
		}
	})
}

// PROD-22: without a producer, and for a file that cannot be sent so, it is ErrMustRead, and nothing was sent; then what is written goes out.
func TestStreamSendFileMustRead(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r, _ := faulty(t, w)
		var srv, cli end
		connectWith(t, r, nil, &srv, &cli)
		f := newFile(t, []byte("content"))
		for _, producer := range []bool{false, true} {
			if producer {
				register(t, srv.s, new(source))
				f.Offset = 7
			}
			if n, err := srv.s.SendFile(f); n != 0 || err != kernel.ErrMustRead {
				t.Errorf("PROD-22: with a producer %v: %d, %v", producer, n, err)
			}
		}
		srv.s.Write([]byte("read"))
		srv.s.UnregisterProducer()
		srv.s.CloseWrite()
		until(t, r, func() bool { return cli.err != nil })
		if n, err := srv.s.SendFile(f); n != 0 || err != reactor.ErrWriteClosed && err != reactor.ErrClosed {
			t.Errorf("PROD-22: after the end: %d, %v", n, err)
		}
		if string(cli.got) != "read" {
			t.Errorf("PROD-22: %q came", cli.got)
		}
	})
}

// PROD-23: a short send pauses the producer. PROD-22: if sending a file fails, the producer is stopped inside the call, and the connection is lost for that, or for Abort.
func TestStreamSendFileFails(t *testing.T) {
	nativeWorlds(t, "no kernel.Files", func(t *testing.T, w testworld.World) {
		for _, abort := range []bool{false, true} {
			r, f := faulty(t, w)
			var srv, cli end
			connectWith(t, r, nil, &srv, &cli)
			p := sends(t, srv.s, newFile(t, make([]byte, 1000)))
			f.MaxWrite = 100
			if n, err := srv.s.SendFile(p.rest); n != 100 || err != nil || !p.paused {
				t.Errorf("PROD-23: %d, %v, and the producer is paused inside the call: %v", n, err, p.paused)
			}
			if abort {
				srv.s.Abort()
			} else {
				f.Write = func() error { return &kernel.SysError{Op: kernel.OpWrite, Kind: kernel.ErrBroken} }
				p.onStop = func() { p.err = io.ErrClosedPipe }
				p.paused = false
				testworld.Turns(t, r, 1)
			}
			until(t, r, func() bool { return srv.err != nil && cli.err != nil })
			if op, ok := srv.err.(*reactor.OpError); abort && srv.err != reactor.ErrAborted || !abort && (!ok || op.Op != "write") {
				t.Errorf("PROD-22: abort %v: lost for %v", abort, srv.err)
			}
			if len(cli.got) > 100 || cli.err == io.EOF || p.told[len(p.told)-1] != "stop" {
				t.Errorf("PROD-22: abort %v: %d bytes came, then %v; the producer was told %v", abort, len(cli.got), cli.err, p.told)
			}
		}
	})
}

// PROD-24: while a producer says that it is unfinished, no end of the connection is an orderly one: neither for the peer's half-close, nor for the end of the
// reactor. Without that it is.
func TestUnfinishedProducer(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, part := range []bool{false, true} {
			for _, how := range []string{"stop", "the peer's end", "the peer's end, with much unsent"} {
				r := w.New(t, reactor.Config{})
				var srv end
				srv.onMade = func() { register(t, srv.s, &fileSource{part: part}); srv.s.Write([]byte("part")) }
				peer := w.Peer(t, listen(t, r, one(&srv), nil).Addr(), r)
				peer.Expect("part")
				switch how {
				case "stop":
					r.Close()
				case "the peer's end":
					peer.CloseWrite()
				default:
					srv.s.Write(make([]byte, 16<<20))
					peer.CloseWrite()
				}
				if how == "stop" || part {
					until(t, r, func() bool { return srv.err != nil })
				}
				if _, err := peer.Rest(); (err == io.EOF) == part {
					t.Errorf("PROD-24: unfinished %v, %s: the peer's end is %v, ours %v", part, how, err, srv.err)
				}
			}
		}
	})
}

// PROD-23: a producer that finds the socket full is resumed when there is room, also if the stream did not wait for that, because the producer before
// had gone, and if the producer calls outside of the stream's callbacks.
func TestStreamSendFileNext(t *testing.T) {
	nativeWorlds(t, "no kernel.Files", func(t *testing.T, w testworld.World) {
		r, f := faulty(t, w)
		var srv, cli end
		connectWith(t, r, nil, &srv, &cli)
		p := sends(t, srv.s, newFile(t, make([]byte, 64<<20)))
		cli.s.PauseProducing()
		p.goOn()
		for calls := -1; calls != f.Calls["WriteFile"]; { // until nothing moves
			calls = f.Calls["WriteFile"]
			testworld.Turns(t, r, 20)
		}
		sent := srv.s.Stats().Sent
		srv.s.UnregisterProducer()
		testworld.Turns(t, r, 2)
		next := sends(t, srv.s, newFile(t, []byte("the next")))
		if next.goOn(); !next.paused {
			t.Error("PROD-23: the socket is full, and the producer is not paused")
		}
		cli.s.ResumeProducing()
		until(t, r, func() bool { return uint64(len(cli.got)) == sent+8 })
	})
}
