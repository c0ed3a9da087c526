package flow_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// content is n bytes in which no piece is like another.
func content(n int) []byte {
	p := make([]byte, n)
	c := rand.NewChaCha8([32]byte{})
	c.Read(p)
	return p
}

// result is what Done was told.
type result struct {
	calls int
	sent  int64
	err   error
}

func (r *result) done(sent int64, err error) { r.calls, r.sent, r.err = r.calls+1, sent, err }

// fileTo serves a file to each connection.
func fileTo(t *testing.T, r *reactor.Reactor, a *app, src io.ReaderAt, o *flow.FileOptions, sending **flow.Sending) *reactor.Port {
	t.Helper()
	a.made = func(c reactor.Transport) {
		s, err := flow.SendFile(c, src, o)
		if err != nil {
			t.Error(err)
		}
		if sending != nil {
			*sending = s
		}
		c.Close()
	}
	port, err := r.Listen(loopback(), reactor.One(a), &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 256}})
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// THR-32: a file for a connection that the end of its reactor has taken is told before SendFile returns.
func TestSendFileAfterEnd(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		srv := new(app)
		w.Peer(t, listen(t, r, reactor.One(srv)).Addr(), r)
		testworld.Until(t, func() bool { return srv.T != nil }, r)
		r.Close()
		var got result
		if _, err := flow.SendFile(srv.T, bytes.NewReader(content(100)), &flow.FileOptions{Done: got.done}); err != nil || got.calls != 1 || got.err == nil {
			t.Errorf("THR-32: %v; %d calls, %v", err, got.calls, got.err)
		}
	})
}

// POL-15, STR-9: a file, or a range of it, arrives whole, however it is cut; Check sees all of it in order, Progress counts it, and the
// transport holds the high-water mark and one piece at most.
func TestSendFile(t *testing.T) {
	data := content(2500)
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for _, c := range []struct{ offset, length int64 }{{0, 0}, {0, 2500}, {500, 0}, {1000, 1200}, {2499, 1}, {2500, 0}} {
			a, sum := new(app), sha256.New()
			var s *flow.Sending
			var res result
			var progress []int64
			most := 0
			o := &flow.FileOptions{Offset: c.offset, Length: c.length, Piece: 700, Done: res.done,
				Check: func(p []byte) error { sum.Write(p); return nil },
				Progress: func(n int64) {
					progress = append(progress, n)
					most = max(most, a.T.Buffered())
				}}
			p := w.Peer(t, fileTo(t, r, a, f, o, &s).Addr(), r)
			got, _ := p.Rest()
			want := data[c.offset:]
			if c.length > 0 {
				want = want[:c.length]
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%+v: %d bytes came, want %d", c, len(got), len(want))
			}
			testworld.Until(t, func() bool { return res.calls > 0 && a.lost() }, r)
			wantSum := sha256.Sum256(want)
			s.Stop() // STR-10: after the end it does nothing
			testworld.Turns(t, r, 2)
			if res != (result{1, int64(len(want)), nil}) || !bytes.Equal(sum.Sum(nil), wantSum[:]) {
				t.Errorf("%+v: %+v", c, res)
			}
			if n := (len(want) + 699) / 700; len(progress) != n || !slices.IsSorted(progress) || most > 256+700 {
				t.Errorf("%+v: progress %v, %d bytes buffered", c, progress, most)
			}
			if a.err != reactor.ErrClosed {
				t.Errorf("lost for %v", a.err)
			}
		}
	})
}

// broken fails at an offset.
type broken struct {
	io.ReaderAt
	at int64
}

var errDisk = errors.New("disk")

func (b broken) ReadAt(p []byte, at int64) (int, error) {
	if at >= b.at {
		return 0, errDisk
	}
	return b.ReaderAt.ReadAt(p, at)
}

// POL-15, STR-10: a file that ends early, cannot be read, is refused by Check, or is stopped, ends with an abort, so that the peer does not take a
// part for the whole; Done is told once.
func TestSendFileFails(t *testing.T) {
	data := bytes.NewReader(content(5000))
	errSum := errors.New("sum")
	worlds(t, func(t *testing.T, w testworld.World) {
		panics := 0
		r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
		for _, c := range []struct {
			src  io.ReaderAt
			o    flow.FileOptions
			want error
			sent int64
		}{
			{data, flow.FileOptions{Length: 5001, Piece: 1000}, io.ErrUnexpectedEOF, 5000},
			{data, flow.FileOptions{Offset: 6000, Length: 1}, io.ErrUnexpectedEOF, 0},
			{broken{data, 2000}, flow.FileOptions{Piece: 1000}, errDisk, 2000},
			{data, flow.FileOptions{Check: func([]byte) error { return errSum }}, errSum, 0},
			{data, flow.FileOptions{Check: func([]byte) error { panic("check") }}, nil, 0},
		} {
			a := new(app)
			var res result
			c.o.Done = res.done
			p := w.Peer(t, fileTo(t, r, a, c.src, &c.o, nil).Addr(), r)
			got, err := p.Rest()
			testworld.Until(t, func() bool { return res.calls > 0 && a.lost() }, r)
			if err == io.EOF || int64(len(got)) > c.sent {
				t.Errorf("%v: the peer got %d bytes and %v", c.want, len(got), err)
			}
			if c.want == nil {
				if _, ok := errors.AsType[*reactor.PanicError](res.err); !ok || panics != 1 {
					t.Errorf("%v, %d panics", res.err, panics)
				}
			} else if !errors.Is(res.err, c.want) || res.sent != c.sent {
				t.Errorf("%+v, want %v after %d", res, c.want, c.sent)
			}
			if res.calls != 1 || a.err != reactor.ErrAborted {
				t.Errorf("%d calls, lost for %v", res.calls, a.err)
			}
		}
	})
}

// waiting is a file whose read waits.
type waiting struct {
	io.ReaderAt
	begun func()
	goOn  chan struct{}
}

func (w waiting) ReadAt(p []byte, at int64) (int, error) {
	w.begun()
	<-w.goOn
	return w.ReaderAt.ReadAt(p, at)
}

// POL-15: Done comes when src is not used any more, also if the connection is lost or the sending stopped during a read.
func TestSendFileLost(t *testing.T) {
	for name, w := range testworld.Native() { // a simulated kernel does the work on the loop
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			for _, stop := range []bool{false, true} {
				begun := false
				src := waiting{bytes.NewReader(content(100)), func() { r.Post(func() { begun = true }) }, make(chan struct{})}
				a := new(app)
				var res result
				var s *flow.Sending
				a.made = func(c reactor.Transport) { s, _ = flow.SendFile(c, src, &flow.FileOptions{Done: res.done}) }
				w.Peer(t, listen(t, r, reactor.One(a)).Addr(), r)
				testworld.Until(t, func() bool { return begun }, r)
				if stop {
					s.Stop()
				} else {
					a.T.Abort()
				}
				testworld.Until(t, a.lost, r)
				testworld.Turns(t, r, 3)
				if res.calls != 0 {
					t.Error("Done was called during a read")
				}
				close(src.goOn)
				testworld.Until(t, func() bool { return res.calls > 0 }, r)
				if want := map[bool]error{true: flow.ErrFileStopped, false: reactor.ErrClosed}[stop]; res.err != want || res.calls != 1 || s.Sent() != 0 {
					t.Errorf("%+v, want %v", res, want)
				}
			}
		})
	}
}

// empty is a file that reads nothing and says nothing of it.
type empty struct{ reads int }

func (e *empty) ReadAt(p []byte, _ int64) (int, error) {
	if e.reads++; e.reads > 1000 {
		return 0, io.EOF
	}
	return 0, nil
}

// POL-15: a file that does not get on ends the sending.
func TestSendFileNoProgress(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		a := new(app)
		var res result
		src := new(empty)
		w.Peer(t, fileTo(t, r, a, src, &flow.FileOptions{Done: res.done}, nil).Addr(), r)
		testworld.Until(t, func() bool { return res.calls > 0 && a.lost() }, r)
		if res.err != io.ErrNoProgress || a.err != reactor.ErrAborted || src.reads != 1 {
			t.Errorf("%+v, lost for %v after %d reads", res, a.err, src.reads)
		}
	})
}
