package main

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// What arrives comes back, whole, and after the end of one direction the other
// ends too (RFC 862).
func TestEcho(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := dial(t, r, listen(t, r, reactor.Each[Echo]()), &peer{})
		want := noise(3000)
		p.s.Write(want)
		p.s.CloseWrite()
		until(t, r, func() bool { return p.ended })
		same(t, "echo", p.got, want)
		p.s.Close()
		until(t, r, func() bool { return p.err != nil })
	})
}

// An echo whose peer does not read stops reading: what it holds is the
// high-water mark and one read (PROD-13), and nothing is lost later, also when
// the peer has ended before it began to read.
func TestEchoBackpressure(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		const readBuffer = 16 << 10
		r := w.New(t, reactor.Config{ReadBuffer: readBuffer})
		a := listen(t, r, reactor.Each[Echo]())
		p := dial(t, r, a, &peer{deaf: true})
		want := noise(12 << 20)
		p.s.Write(want)
		settle(t, r)
		held, left := -1, p.s.Buffered()
		for s := range r.Streams() {
			if s != p.s {
				held = s.Buffered()
			}
		}
		if limit := 64<<10 + readBuffer; held == 0 || held > limit {
			t.Errorf("the echo holds %d bytes, want some and at most %d", held, limit)
		}
		if left == 0 {
			t.Error("the echo has read everything although its peer reads nothing")
		}
		p.s.CloseWrite()
		p.s.ResumeProducing()
		until(t, r, func() bool { return p.ended })
		same(t, "echo", p.got, want)
	})
}

// A peer that resets while it is held back takes its echo with it.
func TestEchoReset(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := dial(t, r, listen(t, r, reactor.Each[Echo]()), &peer{deaf: true})
		p.s.Write(noise(12 << 20))
		settle(t, r)
		p.s.Abort()
		until(t, r, func() bool { return count(r) == 0 })
	})
}

func count(r *reactor.Reactor) (n int) {
	for range r.Streams() {
		n++
	}
	return n
}

// Nothing comes back, and the end is answered by the end (RFC 863).
func TestDiscard(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := dial(t, r, listen(t, r, reactor.Each[Discard]()), &peer{})
		p.s.Write(noise(3000))
		p.s.CloseWrite()
		until(t, r, func() bool { return p.ended })
		if len(p.got) > 0 {
			t.Errorf("%d bytes came back", len(p.got))
		}
	})
}

// The lines are those of RFC 864, go round without a seam, and what is sent
// there, or that no more is, changes nothing.
func TestChargenLines(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := dial(t, r, listen(t, r, NewChargens()), &peer{})
		p.s.Write([]byte("nobody listens"))
		p.s.CloseWrite()
		until(t, r, func() bool { return len(p.got) > 2*charCount*(lineChars+2) })
		lines := strings.SplitAfter(string(p.got), "\r\n")
		for i, want := range map[int]string{
			0:   " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n",
			1:   "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n",
			94:  "~ !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdef\r\n",
			95:  lines[0],
			189: lines[94],
		} {
			if lines[i] != want {
				t.Errorf("line %d is %q, want %q", i, lines[i], want)
			}
		}
		p.s.Abort()
		until(t, r, func() bool { return count(r) == 0 })
	})
}

// A chargen nobody reads stops, and goes on when it is read (PROD-4).
func TestChargenBackpressure(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		f := NewChargens()
		p := dial(t, r, listen(t, r, f), &peer{deaf: true})
		settle(t, r)
		if _, held := sum(r); held == 0 || held > 64<<10+len(f.lines) {
			t.Errorf("%d bytes buffered, want at most 64 KiB and one write", held)
		}
		before, _ := sum(r)
		p.s.ResumeProducing()
		until(t, r, func() bool { return len(p.got) > 2*int(before) })
		for i := 0; i+len(f.lines) <= len(p.got); i += len(f.lines) {
			same(t, "lines", p.got[i:i+len(f.lines)], f.lines)
		}
		p.s.Abort()
		until(t, r, func() bool { return count(r) == 0 })
	})
}

// A chargen that is read as fast as it writes leaves others their turns.
func TestChargenIsFair(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		fast := dial(t, r, listen(t, r, NewChargens()), &peer{})
		p := dial(t, r, listen(t, r, reactor.Each[Echo]()), &peer{})
		p.s.Write([]byte("hello"))
		until(t, r, func() bool { return string(p.got) == "hello" })
		fast.s.Abort()
		until(t, r, func() bool { return fast.err != nil })
	})
}

// touchy panics when it is told to.
type touchy struct{ Echo }

func (p *touchy) DataReceived(b []byte) {
	if string(b) == "boom" {
		panic("I was told to")
	}
	p.Echo.DataReceived(b)
}

// A panic ends its own connection, with a stack in the log, and no other.
func TestPanicEndsOneConnection(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var log bytes.Buffer
		g := globals{LogFormat: "json", LogLevel: "info"}
		_, engine := g.logger(terminal{err: &log})
		r := w.New(t, reactor.Config{Logger: engine, Panicked: func(*reactor.PanicError) {}})
		a := listen(t, r, reactor.Each[touchy]())
		victim, other := dial(t, r, a, &peer{}), dial(t, r, a, &peer{})
		victim.s.Write([]byte("boom"))
		until(t, r, func() bool { return victim.err != nil })
		other.s.Write([]byte("still here"))
		until(t, r, func() bool { return string(other.got) == "still here" })
		for _, want := range []string{`"msg":"panic"`, `"value":"I was told to"`, "services_test.go"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %s:\n%s", want, log.String())
			}
		}
	})
}

// The reactor's own lines are for debugging only; its warnings are for everyone.
func TestLogLevels(t *testing.T) {
	for _, x := range []struct {
		g    globals
		want string
	}{
		{globals{LogLevel: "debug"}, "program-debug engine-debug program-info engine-info program-warn engine-warn program-error engine-error "},
		{globals{LogLevel: "info"}, "program-info program-warn engine-warn program-error engine-error "},
		{globals{LogLevel: "warn"}, "program-warn engine-warn program-error engine-error "},
		{globals{LogLevel: "error"}, "program-error engine-error "},
		{globals{LogLevel: "debug", Quiet: true}, "program-error engine-error "},
	} {
		var b bytes.Buffer
		program, engine := x.g.logger(terminal{err: &b})
		for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			program.Log(t.Context(), l, "program-"+strings.ToLower(l.String()))
			engine.Log(t.Context(), l, "engine-"+strings.ToLower(l.String()))
		}
		got := ""
		for line := range strings.Lines(b.String()) {
			_, msg, _ := strings.Cut(line, "msg=")
			got += strings.TrimSpace(msg) + " "
		}
		if got != x.want {
			t.Errorf("%+v logs %q, want %q", x.g, got, x.want)
		}
	}
}

// A peer that only reads to the end of the stream, with no ear for half-closes,
// sees io.EOF of an echo too.
func TestEchoEndsCleanly(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var got error
		made := false
		c := &plain{made: func(tr reactor.Transport) {
			made = true
			tr.(reactor.HalfCloser).CloseWrite()
		}, lost: func(err error) { got = err }}
		r.Dial(listen(t, r, reactor.Each[Echo]()), reactor.One(c), nil, nil)
		until(t, r, func() bool { return got != nil })
		if !made || got != io.EOF {
			t.Errorf("lost with %v, want io.EOF", got)
		}
	})
}

// plain is a protocol without optional methods.
type plain struct {
	made func(reactor.Transport)
	lost func(error)
}

func (p *plain) ConnectionMade(t reactor.Transport) { p.made(t) }
func (p *plain) DataReceived([]byte)                {}
func (p *plain) ConnectionLost(err error)           { p.lost(err) }

// If one of several places cannot be opened, those that were are closed again.
func TestServeAllOrNothing(t *testing.T) {
	// The program opens a kernel by its name, and the simulated one has none there.
	nativeWorlds(t, func(t *testing.T, w testworld.World) {
		var log bytes.Buffer
		f := new(inUse)
		g := globals{Kernel: w.Name(), LogLevel: "info"}
		texts := []string{"tcp:0:interface=127.0.0.1", "tcp:0:interface=192.0.2.1"}
		err := g.serve(terminal{err: &log}, std.Schemes(nil), handoverFlags{}, texts, f, nil, nil)
		if !errors.Is(err, kernel.ErrAddrUnavailable) || !strings.HasPrefix(err.Error(), texts[1]+": ") {
			t.Errorf("error %v", err)
		}
		if f.started != 1 || f.stopped != 1 {
			t.Errorf("the factory was started %d times and stopped %d times, want once for the place that was open", f.started, f.stopped)
		}
		if log.Len() > 0 {
			t.Errorf("logged: %s", log.String())
		}
	})
}

// inUse counts when it comes into use and goes out of it.
type inUse struct {
	peers
	started, stopped int
}

func (f *inUse) StartFactory() error { f.started++; return nil }
func (f *inUse) StopFactory() error  { f.stopped++; return nil }

// The version names the module's version, the commit and the builder.
func TestVersion(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.99"}
	info.Main.Version = "v1.2.3"
	if got := versionOf(info); !strings.HasPrefix(got, "whorl v1.2.3 go1.99 ") {
		t.Error(got)
	}
	info.Settings = []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	if got := versionOf(info); !strings.HasPrefix(got, "whorl v1.2.3 commit 0123456789ab with changes go1.99 ") {
		t.Error(got)
	}
}
