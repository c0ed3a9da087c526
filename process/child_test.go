//go:build unix

package process_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// PROC-32: closing the input sends what is pending first. Closing it again, and closing what is not there, does nothing.
func TestCloseStdin(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		w := new(watcher)
		c := spawn(t, r, sh("sleep 0.01; wc -c"), w)
		const n = 1 << 20
		if m, err := c.Write(make([]byte, n)); m != n || err != nil {
			t.Fatal(m, err)
		}
		for range 3 {
			c.CloseStdin()
			c.ClosePipe(77)
		}
		if _, err := c.Write([]byte("late")); !errors.Is(err, reactor.ErrClosed) {
			t.Errorf("PROC-32: Write after the close: %v", err)
		}
		until(t, r, w.ended)
		if got := strings.TrimSpace(string(w.got[1])); got != fmtInt(n) {
			t.Errorf("PROC-32: the child has got %s of %d bytes", got, n)
		}
		if w.lost[0] != reactor.ErrClosed || w.lost[1] != io.EOF {
			t.Errorf("PROC-21: lost %v", w.lost)
		}
	})
}

// PROC-41: the input of one child is not kept open by another that was started later.
func TestCloseStdinOfSeveral(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		a, b := new(watcher), new(watcher)
		first, second := spawn(t, r, sh("cat"), a), spawn(t, r, sh("cat"), b)
		first.CloseStdin()
		until(t, r, a.ended)
		if b.end != nil {
			t.Errorf("PROC-41: the other has ended: %v", b.events)
		}
		second.CloseStdin()
		until(t, r, b.ended)
		if a.end.Code != 0 || b.end.Code != 0 {
			t.Errorf("PROC-41: %v, %v", a.end, b.end)
		}
	})
}

// PROC-33: closing a pipe that we read stops reading at once, tells its end later, and the child gets SIGPIPE.
func TestClosePipeThatWeRead(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		for _, fd := range []int{1, 2} {
			w := new(watcher)
			closed := false
			w.onData = func(int, []byte) {
				if closed {
					t.Error("PROC-33: data after the close")
				}
				closed = true
				w.c.ClosePipe(fd)
				if w.lost[fd] != nil {
					t.Error("PROC-33: the end was told inside the close")
				}
			}
			run(t, r, sh("exec yes >&"+fmtInt(fd)), w)
			if w.lost[fd] != reactor.ErrClosed || w.end.Signal != syscall.SIGPIPE {
				t.Errorf("PROC-33: pipe %d lost with %v, end %v", fd, w.lost[fd], w.end)
			}
		}
	})
}

// PROC-34: Close closes all pipes, those of high numbers too, and does not kill. The end waits for the exit.
func TestChildClose(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		w := new(watcher)
		cmd := sh("cat; read x <&4; sleep 0.1; exit 9")
		cmd.Files = map[int]process.File{0: process.WritePipe(), 1: process.ReadPipe(), 4: process.WritePipe()}
		c := spawn(t, r, cmd, w)
		start := r.Now()
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		until(t, r, func() bool { return len(w.lost) == 3 })
		if (w.exit != nil || w.end != nil) && r.Now()-start < 100*time.Millisecond {
			t.Errorf("PROC-34: %v", w.events)
		}
		until(t, r, w.ended)
		if w.end.Code != 9 || w.lost[0] != reactor.ErrClosed || w.lost[1] != reactor.ErrClosed || w.lost[4] != reactor.ErrClosed {
			t.Errorf("PROC-34: %v, lost %v", w.end, w.lost)
		}
	})
}

// PROC-35: that the child has closed its input is noticed without a write, and costs nothing else.
func TestChildClosesStdin(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		w := new(watcher)
		c := spawn(t, r, sh("exec <&-; exec sleep 1000"), w)
		until(t, r, func() bool { return w.lost[0] != nil })
		if w.lost[0] != io.EOF || w.exit != nil {
			t.Errorf("PROC-35: lost with %v, %v", w.lost[0], w.events)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, reactor.ErrClosed) {
			t.Errorf("PROC-35: Write: %v", err)
		}
		c.Kill(0)
		until(t, r, w.ended)
	})
}

// PROC-35, PROC-36: with output that waits, the loss is the error of the write, and no signal ends this process.
func TestChildDiesWithFullPipe(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		w := new(watcher)
		c := spawn(t, r, sh("exec sleep 1000"), w)
		if _, err := c.Write(make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		testworld.Turns(t, r, 3)
		before := r.Stats().Events
		testworld.Turns(t, r, 3)
		if n := r.Stats().Events - before; n != 0 {
			t.Errorf("PROC-36: %d events of a pipe that is full", n)
		}
		c.Kill(0)
		until(t, r, w.ended)
		if err := w.lost[0]; !errors.Is(err, kernel.ErrBroken) || !errors.Is(err, reactor.ErrLost) {
			t.Errorf("PROC-36: lost with %v", err)
		}
	})
}

// pusher is a producer that writes while it is not paused.
type pusher struct {
	c       *process.Child
	left    int
	paused  bool
	pauses  int
	stopped int
	most    int
}

func (p *pusher) PauseProducing() { p.paused = true; p.pauses++ }
func (p *pusher) StopProducing()  { p.stopped++; p.paused = true }
func (p *pusher) ResumeProducing() {
	p.paused = false
	for !p.paused && p.left > 0 {
		p.c.Write(make([]byte, 1000))
		p.most = max(p.most, p.c.Transport(0).Buffered())
		if p.left--; p.left == 0 {
			p.c.UnregisterProducer()
			p.c.CloseStdin()
		}
	}
}

// PROC-37: a producer for the input, by the usual rules; without an input it is stopped at once. PROC-38: pausing holds for all pipes that we
// read, and makes the child wait.
func TestChildFlow(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		w := new(watcher)
		c := spawn(t, r, sh("cat; echo err >&2"), w)
		p := &pusher{c: c, left: 2000}
		c.PauseProducing()
		if err := c.RegisterProducer(p); err != nil {
			t.Fatal(err)
		}
		if err := c.RegisterProducer(new(pusher)); !errors.Is(err, reactor.ErrProducerRegistered) {
			t.Errorf("PROC-37: a second producer: %v", err)
		}
		p.ResumeProducing()
		testworld.Until(t, func() bool { testworld.Turns(t, r, 5); return p.paused }, r)
		left := p.left
		testworld.Turns(t, r, 20)
		if len(w.got[1]) > 0 || p.left == 0 || left-p.left > 200 {
			t.Errorf("PROC-38: %d bytes came though reading is paused; %d writes are left of %d", len(w.got[1]), p.left, left)
		}
		c.ResumeProducing()
		until(t, r, w.ended)
		if len(w.got[1]) != 2_000_000 || string(w.got[2]) != "err\n" || p.pauses < 10 || p.stopped != 0 || p.most > 70_000 {
			t.Errorf("PROC-37: %d bytes came, %d pauses, stopped %d times, at most %d were buffered", len(w.got[1]), p.pauses, p.stopped, p.most)
		}
		cmd := sh("exit 0")
		cmd.Files = map[int]process.File{1: process.ReadPipe()}
		w = new(watcher)
		c = spawn(t, r, cmd, w)
		p = &pusher{c: c}
		if err := c.RegisterProducer(p); err != nil || p.stopped != 1 {
			t.Errorf("PROC-37: without an input: %v, stopped %d times", err, p.stopped)
		}
		c.UnregisterProducer()
		until(t, r, w.ended)
		// A producer of a child that dies is stopped before PipeLost.
		w = new(watcher)
		c = spawn(t, r, sh("exec sleep 1000"), w)
		p = &pusher{c: c, left: 1 << 20}
		w.onLost = func(fd int, err error) {
			if fd == 0 && p.stopped != 1 {
				t.Errorf("PROC-37: stopped %d times at PipeLost", p.stopped)
			}
		}
		c.RegisterProducer(p)
		p.ResumeProducing()
		c.Kill(0)
		until(t, r, w.ended)
	})
}

// PROC-40: signals by name and number; afterwards ErrExited.
func TestChildSignal(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		for _, name := range []string{"HUP", "SIGINT", "term", "9", "usr1"} {
			s, err := process.SignalByName(name)
			if err != nil {
				t.Fatalf("PROC-40: %s: %v", name, err)
			}
			w := new(watcher)
			c := spawn(t, r, sh("echo; exec sleep 1000"), w)
			until(t, r, func() bool { return w.got[1] != nil })
			if err := c.Signal(s); err != nil {
				t.Errorf("PROC-40: %v", err)
			}
			until(t, r, w.ended)
			if os.Signal(w.end.Signal) != s {
				t.Errorf("PROC-40: %v ended it with %v", s, w.end)
			}
			for _, send := range []func(os.Signal) error{c.Signal, c.SignalGroup} {
				if err := send(s); !errors.Is(err, process.ErrExited) || !errors.Is(err, os.ErrProcessDone) {
					t.Errorf("PROC-40: after the exit: %v", err)
				}
			}
			if err := c.Kill(time.Second); !errors.Is(err, process.ErrExited) {
				t.Errorf("PROC-40: Kill after the exit: %v", err)
			}
		}
	})
	for _, name := range []string{"", "NOPE", "-1", "0", "1000", "9x", "SIGSIGTERM"} {
		if s, err := process.SignalByName(name); s != nil || !errors.Is(err, kernel.ErrInvalidOption) {
			t.Errorf("PROC-40: %q: %v, %v", name, s, err)
		}
	}
}

// PROC-25: what a child has left behind delays the end, and not the exit.
func TestGrandchildHoldsPipe(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		w := new(watcher)
		cmd := sh("(read x <&3; echo late) & exit 6")
		cmd.Files = map[int]process.File{1: process.ReadPipe(), 3: process.WritePipe()}
		c := spawn(t, r, cmd, w)
		until(t, r, func() bool { return w.exit != nil })
		testworld.Turns(t, r, 3)
		if w.end != nil || w.exit.Code != 6 {
			t.Errorf("PROC-25, PROC-24: %v, %v", w.events, w.exit)
		}
		c.WriteTo(3, []byte("go\n"))
		until(t, r, w.ended)
		if string(w.got[1]) != "late\n" || !slices.Equal(w.events[len(w.events)-1:], []string{"ended"}) { // PROC-23
			t.Errorf("PROC-25: %q, %v", w.got[1], w.events)
		}
	})
}

// PROC-43, PROC-46: pipes that end before the exit; the exit is noticed all the same, and no signal handler is needed.
func TestPipesEndFirst(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		w := new(watcher)
		c := spawn(t, r, sh("exec <&- >&- 2>&-; exec sleep 1000"), w)
		until(t, r, func() bool { return len(w.lost) == 3 })
		if w.exit != nil {
			t.Errorf("PROC-43, PROC-24: %v", w.events)
		}
		c.Signal(syscall.SIGTERM)
		until(t, r, w.ended)
		if w.end.Signal != syscall.SIGTERM { // PROC-46
			t.Errorf("PROC-43, PROC-46: %v", w.end)
		}
	})
}

// PROC-44: somebody else has taken the status.
func TestStatusTakenElsewhere(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		w := new(watcher)
		c := spawn(t, r, sh("exit 7"), w)
		var ws syscall.WaitStatus
		if _, err := syscall.Wait4(c.Pid(), &ws, 0, nil); err != nil {
			t.Fatal(err)
		}
		until(t, r, w.ended)
		if !w.end.Unknown || w.end.Code != -1 || !errors.Is(*w.end, syscall.ECHILD) || !errors.Is(*w.end, process.ErrTerminated) {
			t.Errorf("PROC-44: %+v", w.end)
		}
	})
}

// PROC-1, PROC-27: a panic in a callback is logged, and the child is looked after all the same.
func TestPanics(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			var all []string
			r := world.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { all = append(all, e.In+": "+e.Value.(string)) }})
			w := new(watcher)
			w.onMade = func() { panic("made") }
			w.onExited = func() { panic("exited") }
			w.onEnded = func() { panic("ended") }
			w.onLost = func(fd int, err error) { panic("lost") }
			w.onData = func(fd int, p []byte) {
				if fd == 2 {
					panic("data")
				}
			}
			run(t, r, sh("echo out; echo err >&2; exec 2>&-; sleep 0.1; echo more"), w)
			slices.Sort(all)
			want := []string{"data", "ended", "exited", "lost", "lost", "lost", "made"}
			for i := range want {
				want[i] = "watcher,child: " + want[i]
			}
			if !slices.Equal(all, want) {
				t.Errorf("PROC-1, PROC-27: panics %q", all)
			}
			if string(w.got[1]) != "out\nmore\n" {
				t.Errorf("a panic of another pipe: %q", w.got[1])
			}
			if e, ok := errors.AsType[*reactor.PanicError](w.lost[2]); !ok || e.Value != "data" {
				t.Errorf("lost with %v", w.lost[2])
			}
			if w.end.Code != 0 || w.count("ended") != 1 {
				t.Errorf("PROC-27: %v", w.events)
			}
		})
	}
}

// nameless is a watcher whose LogPrefix panics.
type nameless struct{ watcher }

func (*nameless) LogPrefix() string { panic("no name") }

// a protocol that cannot say its name gets its child all the same.
func TestNameOfProtocolPanics(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := world.New(t, reactor.Config{})
			w := new(nameless)
			c, err := process.Spawn(r, sh("echo out"), w)
			if err != nil {
				t.Fatal(err)
			}
			testworld.Until(t, func() bool { return w.end != nil }, r)
			if got := c.LogPrefix(); got != "nameless (panic in LogPrefix: no name),child" || string(w.got[1]) != "out\n" {
				t.Errorf("X-3: %q, output %q", got, w.got[1])
			}
		})
	}
}

// split gets the two outputs by methods of their own (PROC-20), and does not listen to the exit (PROC-30).
type split struct {
	process.Base
	out, err bytes.Buffer
	ended    int
}

func (s *split) OutputReceived(p []byte) { s.out.Write(p) }
func (s *split) ErrorReceived(p []byte)  { s.err.Write(p) }
func (s *split) Ended(process.Status)    { s.ended++ }
func (s *split) LogPrefix() string       { return "splitter" }

// outer wraps a protocol.
type outer struct{ process.Protocol }

func (o *outer) Unwrap() process.Protocol { return o.Protocol }

func TestSplit(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		for _, wrap := range []bool{false, true} {
			s := new(split)
			var p process.Protocol = s
			if wrap {
				p = &outer{s}
			}
			c, err := process.Spawn(r, sh("echo out; echo err >&2"), p)
			if err != nil {
				t.Fatal(err)
			}
			until(t, r, func() bool { return s.ended > 0 })
			if s.out.String() != "out\n" || s.err.String() != "err\n" || s.C != c || c.LogPrefix() != "splitter,child" {
				t.Errorf("PROC-20: %q, %q, %q", s.out.String(), s.err.String(), c.LogPrefix())
			}
			if s.ended != 1 {
				t.Errorf("PROC-30: ended %d times", s.ended)
			}
		}
	})
}

// A pipe with a protocol of its own is a transport like any other.
func TestPipeProtocol(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		in, out := new(screen), new(screen)
		cmd := sh("cat; echo err >&2")
		cmd.Files = map[int]process.File{0: process.WritePipe().For(in), 1: process.ReadPipe().For(out), 2: process.ReadPipe()}
		w := new(watcher)
		c := spawn(t, r, cmd, w)
		if c.Transport(0) == nil || c.Transport(1) == nil || c.Transport(3) != nil {
			t.Error("transports are missing")
		}
		in.s.Write([]byte("through"))
		in.s.Close()
		until(t, r, w.ended)
		if string(out.got) != "through" || in.err != reactor.ErrClosed || out.err != io.EOF {
			t.Errorf("%q, %v, %v", out.got, in.err, out.err)
		}
		if len(w.lost) != 1 || w.lost[2] != io.EOF || string(w.got[2]) != "err\n" || w.got[1] != nil {
			t.Errorf("%v, %v", w.events, w.lost)
		}
		// Without other pipes there need be no other protocol.
		out = new(screen)
		cmd.Files = map[int]process.File{1: process.ReadPipe().For(out)}
		c, err := process.Spawn(r, cmd, nil)
		if err != nil {
			t.Fatal(err)
		}
		over := false
		c.AfterEnd(func(process.Status) { over = true })
		until(t, r, func() bool { return over })
		defer func() {
			if recover() == nil {
				t.Error("a protocol for the null device")
			}
		}()
		process.Null().For(out)
	})
}
