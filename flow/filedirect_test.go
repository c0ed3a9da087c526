package flow_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// newFile is a file with content.
func newFile(t *testing.T, content []byte) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return f
}

// ways are the ways in which a file is sent: by reading it, because somebody looks or because src is a reader, and by the system, if it has the file in
// memory, and in any case.
func ways(f *os.File) []struct {
	name   string
	src    io.ReaderAt
	o      flow.FileOptions
	direct bool // the system sends it, if the kernel can
} {
	return []struct {
		name   string
		src    io.ReaderAt
		o      flow.FileOptions
		direct bool
	}{
		{"checked", f, flow.FileOptions{Check: func([]byte) error { return nil }}, false},
		{"reader", struct{ io.ReaderAt }{f}, flow.FileOptions{}, false},
		{"file", f, flow.FileOptions{}, false},
		{"may wait", f, flow.FileOptions{MayWait: true}, true},
	}
}

// POL-16: however a file is sent, the same bytes come, with the same results, however they are cut.
func TestSendFileWays(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		t.Parallel() // much of the time is waiting for goroutines that read
		size := 1000
		if w.Chunk() == 0 {
			size = 3 << 20
		}
		data := content(size)
		f := newFile(t, data)
		faults := new(testworld.Faults)
		r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{})
		for _, way := range ways(f) {
			for _, c := range []struct{ offset, length int }{{0, 0}, {0, size}, {size / 3, size / 2}, {size - 1, 0}} {
				a, o := new(app), way.o
				var res result
				last := int64(0)
				o.Offset, o.Length, o.Piece, o.Done = int64(c.offset), int64(c.length), size/30, res.done
				o.Progress = func(n int64) {
					if n <= last {
						t.Errorf("%s: progress from %d to %d", way.name, last, n)
					}
					last = n
				}
				before := faults.Calls["WriteFile"]
				got, err := w.Peer(t, fileTo(t, r, a, way.src, &o, nil).Addr(), r).Rest()
				want := data[c.offset:]
				if c.length > 0 {
					want = want[:c.length]
				}
				testworld.Until(t, func() bool { return res.calls > 0 && a.lost() }, r)
				if !bytes.Equal(got, want) || err != io.EOF || last != int64(len(want)) || res != (result{1, last, nil}) || a.err != reactor.ErrClosed {
					t.Errorf("%s %+v: %d bytes came, want %d; %v, progress %d, %+v, lost for %v", way.name, c, len(got), len(want), err, last, res, a.err)
				}
				calls := faults.Calls["WriteFile"] - before
				if way.name != "file" && (calls > 0) != (way.direct && !w.Simulated() && len(want) > 1 && hasFiles) {
					t.Errorf("%s %+v: the system was asked %d times", way.name, c, calls)
				}
			}
		}
	})
}

// POL-16: a file that ends before its first end, or before the range does, is no clean end: io.ErrUnexpectedEOF and an abort, however it is sent.
func TestSendFileTruncated(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const size = 1 << 20
		r := w.New(t, reactor.Config{})
		for i, length := range []int64{0, size, 0, size, 0, size, 0, size} {
			f := newFile(t, content(size))
			way := ways(f)[i/2]
			a, o := new(app), way.o
			var res result
			o.Length, o.Done = length, res.done
			o.Progress = func(n int64) {
				if err := f.Truncate(max(n, size/2)); err != nil {
					t.Error(err)
				}
			}
			_, err := w.Peer(t, fileTo(t, r, a, way.src, &o, nil).Addr(), r).Rest()
			testworld.Until(t, func() bool { return res.calls > 0 && a.lost() }, r)
			// What a reader has at first is not known, so that its end is the end.
			cut := way.name != "reader" || length > 0
			if cut != (res.err == io.ErrUnexpectedEOF) || res.sent != size/2 || cut != (a.err == reactor.ErrAborted) || cut == (err == io.EOF) {
				t.Errorf("%s, length %d: %+v, lost for %v, the peer got %v", way.name, length, res, a.err, err)
			}
		}
	})
}

// POL-16, STR-10: what is stopped, lost or aborted, and a peer that ends its direction first, are no clean end either.
func TestSendFileCut(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const size = 8 << 20
		f := newFile(t, content(size))
		for _, way := range ways(f) {
			for name, cut := range map[string]func(r *reactor.Reactor, p *testworld.Peer, a *app, s *flow.Sending) error{
				"stopped": func(_ *reactor.Reactor, _ *testworld.Peer, _ *app, s *flow.Sending) error {
					s.Stop()
					return flow.ErrFileStopped
				},
				"aborted": func(_ *reactor.Reactor, _ *testworld.Peer, a *app, _ *flow.Sending) error {
					a.T.Abort()
					return reactor.ErrClosed
				},
				"reactor": func(r *reactor.Reactor, _ *testworld.Peer, _ *app, _ *flow.Sending) error {
					r.Close()
					return reactor.ErrClosed
				},
				"peer's end": func(_ *reactor.Reactor, p *testworld.Peer, _ *app, _ *flow.Sending) error {
					p.CloseWrite()
					return reactor.ErrClosed
				},
			} {
				r, a, o := w.New(t, reactor.Config{}), new(app), way.o
				var res result
				var s *flow.Sending
				o.Done = res.done
				a.made = func(c reactor.Transport) {
					var err error
					if s, err = flow.SendFile(c, way.src, &o); err != nil {
						t.Error(err)
					}
				}
				p := w.Peer(t, listen(t, r, reactor.One(a)).Addr(), r)
				testworld.Until(t, func() bool { return s != nil && s.Sent() > 0 }, r)
				want := cut(r, p, a, s)
				testworld.Until(t, a.lost, r)
				got, err := p.Rest()
				if name != "reactor" {
					testworld.Until(t, func() bool { return res.calls > 0 }, r)
				}
				if err == io.EOF || len(got) >= size || res.calls > 0 && res.err != want {
					t.Errorf("%s, %s: %d bytes came, then %v; %+v", way.name, name, len(got), err, res)
				}
			}
		}
	})
}

// POL-16: where somebody must see the bytes, or paces them, they are read; other policies let the system send the file, and count it.
func TestSendFileWrapped(t *testing.T) {
	const size = 1 << 20
	data := content(size)
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			for policy, wrap := range map[string]func(reactor.Factory) reactor.Factory{
				"PROXY": policies()["PROXY"], "timed": policies()["timed"], "counted": policies()["counted"], "limited": policies()["limited"],
				"rate": func(f reactor.Factory) reactor.Factory {
					return flow.LimitRate(f, flow.LimitOptions{Write: flow.Rate{PerSecond: 1 << 30}})
				},
				"logged": nil,
			} {
				f, log := newFile(t, data), new(memory)
				if wrap == nil {
					wrap = func(f reactor.Factory) reactor.Factory {
						return flow.LogTraffic(f, func(int, reactor.Transport) flow.TrafficLog { return log })
					}
				}
				faults := new(testworld.Faults)
				r := testworld.New(t, faults.Wrap(w.Open(t)), reactor.Config{})
				a := new(app)
				var res result
				a.made = func(c reactor.Transport) {
					if _, err := flow.SendFile(c, f, &flow.FileOptions{Done: res.done, MayWait: true}); err != nil {
						t.Error(err)
					}
					c.Close()
				}
				p := w.Peer(t, listen(t, r, wrap(reactor.One(a))).Addr(), r)
				got, err := p.Rest()
				testworld.Until(t, func() bool { return res.calls > 0 && a.lost() }, r)
				if !bytes.Equal(got, data) || err != io.EOF || res.err != nil {
					t.Errorf("%s: %d bytes came, then %v; %+v", policy, len(got), err, res)
				}
				if direct := policy != "rate" && policy != "logged" && hasFiles; direct != (faults.Calls["WriteFile"] > 0) {
					t.Errorf("%s: the system was asked %d times", policy, faults.Calls["WriteFile"])
				}
				if policy == "logged" && !bytes.Equal(log.sent, data) {
					t.Errorf("the log has %d bytes", len(log.sent))
				}
			}
		})
	}
}

// memory is a log that keeps what was sent.
type memory struct {
	quiet
	sent []byte
}

func (m *memory) Sent(p []byte) { m.sent = append(m.sent, p...) }

// POL-16: a panic of Progress ends the sending, also of what the system sends.
func TestSendFilePanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		for _, way := range ways(newFile(t, content(1<<20))) {
			panics := 0
			r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
			a, o := new(app), way.o
			var res result
			o.Done = res.done
			o.Progress = func(n int64) {
				if n > 300<<10 {
					panic(fmt.Sprintf("progress %d", n))
				}
			}
			_, err := w.Peer(t, fileTo(t, r, a, way.src, &o, nil).Addr(), r).Rest()
			testworld.Until(t, func() bool { return res.calls > 0 && a.lost() }, r)
			if _, ok := res.err.(*reactor.PanicError); !ok || panics != 1 || err == io.EOF {
				t.Errorf("%s: %+v, %d panics, the peer got %v", way.name, res, panics, err)
			}
		}
	})
}
