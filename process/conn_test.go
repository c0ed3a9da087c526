//go:build unix

package process_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// soon are short times for a test.
func soon() *process.ConnConfig {
	return &process.ConnConfig{Linger: 50 * time.Millisecond, Grace: 50 * time.Millisecond}
}

// connectTo starts cmd with p, and turns r at the end of the test until it has ended.
func connectTo(t *testing.T, r *reactor.Reactor, cmd *process.Command, p reactor.Protocol, o *process.ConnConfig) *process.Conn {
	t.Helper()
	c, err := process.Connect(r, cmd, p, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Child().Kill(0) })
	return c
}

// EP-16: output is received, what is written is the input, and the exit status is the reason of the loss.
func TestConnExit(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		for script, want := range map[string]string{
			"cat":                   "EOF",
			"cat; exit 7":           "exit status 7",
			"cat; kill -TERM $$":    "signal: terminated",
			"exec 0<&-; echo hello": "EOF",
		} {
			p := new(halfScreen)
			c := connectTo(t, r, sh(script), p, nil)
			if a := c.Remote(); a != c.Local() || a.Net != kernel.Process || a.Name != "/bin/sh" {
				t.Errorf("EP-16: addresses %v, %v", c.Local(), a)
			}
			if _, err := c.Write([]byte("hello\n")); err != nil {
				t.Error(err)
			}
			_ = c.CloseWrite()
			if _, err := c.Write([]byte("late")); err != reactor.ErrWriteClosed {
				t.Errorf("%s: Write after CloseWrite: %v", script, err)
			}
			until(t, r, p.lost)
			if string(p.got) != "hello\n" {
				t.Errorf("EP-16: %s: got %q", script, p.got)
			}
			if p.err.Error() != want || want != "EOF" && !errors.Is(p.err, process.ErrTerminated) {
				t.Errorf("EP-16: %s: lost with %v, want %s", script, p.err, want)
			}
			if _, err := c.Write([]byte("late")); err != reactor.ErrClosed {
				t.Errorf("Write after the loss: %v", err)
			}
		}
	})
}

// A protocol that does not know half-closes ends its direction when the output has ended. The callbacks come in order.
func TestConnWithoutHalfClose(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		p := new(screen)
		connectTo(t, r, sh("echo hello; exec 1>&-; read x; exit 3"), p, nil)
		until(t, r, p.lost)
		sameEvents(t, p.events, "made", "lost")
		if s, ok := errors.AsType[process.Status](p.err); string(p.got) != "hello\n" || !ok || s.Code != 3 {
			t.Errorf("EP-16: %q, %v", p.got, p.err)
		}
		q := new(halfScreen)
		q.onReadLost = func() { _ = q.s.CloseWrite() }
		connectTo(t, r, sh("echo hello; exec 1>&-; read x; exit 0"), q, nil)
		until(t, r, q.lost)
		sameEvents(t, q.events, "made", "read lost", "write lost", "lost")
	})
}

// Close sends what was written, and lets the program finish: its output does not kill it, and is dropped.
func TestConnClose(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		p := new(screen)
		var exit *process.Status
		o := &process.ConnConfig{Exited: func(s process.Status) { exit = &s }}
		c := connectTo(t, r, sh("wc -c; exit 5"), p, o)
		if _, err := c.Write(make([]byte, 200_000)); err != nil {
			t.Error(err)
		}
		_ = c.Close()
		if p.err != nil {
			t.Error("TCP-59: lost inside Close")
		}
		until(t, r, p.lost)
		if s, ok := c.Status(); p.err != reactor.ErrClosed || !ok || s.Code != 5 || len(p.got) > 0 || exit == nil || exit.Code != 5 {
			t.Errorf("lost with %v, exit %v, got %q", p.err, s, p.got)
		}
	})
}

// EP-16: the error output of a program that exits after a Close is delivered all the same, before the loss.
func TestConnCloseErrorOutput(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		for range 10 {
			var lines []string
			p := new(halfScreen)
			p.onReadLost = func() { p.s.Close() }
			connectTo(t, r, sh("exec 1>&-; echo oops >&2; exit 0"), p, &process.ConnConfig{Lines: func(l []byte) { lines = append(lines, string(l)) }})
			until(t, r, p.lost)
			if len(lines) != 1 || lines[0] != "oops" {
				t.Fatalf("EP-16: %q, lost with %v", lines, p.err)
			}
		}
	})
}

// EP-16: Close after the end of the output leaves the reason to the exit, unless that is a success.
func TestConnCloseAfterEnd(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		for script, want := range map[string]error{"echo x; exit 3": process.ErrTerminated, "echo x": reactor.ErrClosed} {
			p := new(halfScreen)
			p.onReadLost = func() { p.s.Close() }
			connectTo(t, r, sh(script), p, nil)
			until(t, r, p.lost)
			isOne(t, script, p.err, want)
		}
	})
}

// Abort is told at once, and ends a program that ignores SIGTERM after the grace.
func TestConnAbort(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		p := new(screen)
		var exit *process.Status
		o := soon()
		o.Exited = func(s process.Status) { exit = &s }
		c := connectTo(t, r, sh("trap '' TERM; echo ready; while :; do sleep 0.01; done"), p, o)
		until(t, r, p.has("ready"))
		c.Abort()
		c.Abort()
		if p.err != nil {
			t.Error("TCP-77: lost inside Abort")
		}
		until(t, r, p.lost)
		isOne(t, "lost", p.err, reactor.ErrAborted)
		until(t, r, func() bool { return exit != nil })
		if exit.Signal != syscall.SIGKILL {
			t.Errorf("the program has ended by %v", exit)
		}
	})
}

// A program that closes its streams and lives is asked to end when Linger is over.
func TestConnStreamsClosed(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		p := new(screen)
		connectTo(t, r, sh("exec 0<&- 1>&- 2>&-; while :; do sleep 0.01; done"), p, &process.ConnConfig{Linger: 50 * time.Millisecond})
		until(t, r, p.lost)
		if s, ok := errors.AsType[process.Status](p.err); !ok || s.Signal != syscall.SIGTERM {
			t.Errorf("lost with %v", p.err)
		}
	})
}

// What a program leaves behind with its output holds the end back no longer than Linger after the last byte.
func TestConnOutputHeld(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		p := new(halfScreen)
		connectTo(t, r, sh("(sleep 60)& echo hello; exit 0"), p, soon())
		until(t, r, p.lost)
		isOne(t, "lost", p.err, process.ErrOutputHeld)
		sameEvents(t, p.events, "made", "read lost", "lost")
		if string(p.got) != "hello\n" {
			t.Errorf("got %q", p.got)
		}
	})
}

// A protocol that closes when it is told that the output has ended hears that the output was cut off.
func TestConnOutputHeldClosed(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		for script, want := range map[string]string{"(sleep 60)& echo hello; exit 0": "", "(sleep 60)& echo hello; exit 3": "exit status 3"} {
			p := new(halfScreen)
			c := connectTo(t, r, sh(script), p, soon())
			p.onReadLost = func() { _ = c.Close() }
			until(t, r, p.lost)
			if s, ok := errors.AsType[process.Status](p.err); !errors.Is(p.err, process.ErrOutputHeld) || ok != (want != "") || ok && s.Error() != want {
				t.Errorf("EP-16: %s: lost with %v", script, p.err)
			}
		}
	})
}

// When the program ends its input, writing ends and reading goes on.
func TestConnInputClosed(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		p := new(halfScreen)
		c := connectTo(t, r, sh("read x; exec 0<&-; echo ready; sleep 0.05; echo done"), p, nil)
		_, _ = c.Write([]byte("go\n"))
		until(t, r, p.has("ready"))
		for range 3 {
			turn(t, r, 3)
			_, _ = c.Write(make([]byte, 100))
		}
		until(t, r, p.lost)
		if _, err := c.Write([]byte("x")); err != reactor.ErrClosed {
			t.Errorf("Write: %v", err)
		}
		if p.err != io.EOF || !strings.HasSuffix(string(p.got), "done\n") {
			t.Errorf("lost with %v after %q", p.err, p.got)
		}
	})
}

// The error output comes by lines, or in the output, or nowhere.
func TestConnErrorOutput(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		var lines []string
		o := &process.ConnConfig{Lines: func(l []byte) { lines = append(lines, string(l)) }}
		p := new(screen)
		connectTo(t, r, sh("echo one >&2; echo "+strings.Repeat("x", 1030)+" >&2; printf two >&2; echo out"), p, o)
		until(t, r, p.lost)
		if want := []string{"one", strings.Repeat("x", 1024), "xxxxxx", "two"}; strings.Join(lines, "|") != strings.Join(want, "|") {
			t.Errorf("EP-16: lines %q", lines)
		}
		for _, f := range []process.File{process.Null(), process.Same(1)} {
			p := new(screen)
			connectTo(t, r, sh("echo one >&2; echo out"), p, &process.ConnConfig{ErrorOutput: f})
			until(t, r, p.lost)
			if want := map[bool]string{true: "out\n", false: "one\nout\n"}[f == process.Null()]; string(p.got) != want {
				t.Errorf("EP-16: got %q, want %q", p.got, want)
			}
		}
	})
}

// A panic in a callback ends the connection with it, and the program.
func TestConnPanics(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) { connPanics(t, w) })
	}
}

func connPanics(t *testing.T, w testworld.World) {
	func(r *reactor.Reactor) {
		for _, in := range []string{"made", "data", "read lost"} {
			p := new(halfScreen)
			boom := func() { panic("boom") }
			switch in {
			case "made":
				p.onMade = boom
			case "data":
				p.onData = func([]byte) { boom() }
			default:
				p.onReadLost = boom
			}
			connectTo(t, r, sh("echo hello; exec 1>&-; read x; exit 0"), p, nil)
			until(t, r, p.lost)
			if _, ok := errors.AsType[*reactor.PanicError](p.err); !ok {
				t.Errorf("X-3: in %s: %v", in, p.err)
			}
		}
	}(w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}}))
}

// A start that fails is an error, and the protocol hears nothing.
func TestConnFails(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		p := new(screen)
		if _, err := process.Connect(r, &process.Command{Path: "/no/such/program"}, p, nil); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("EP-16: %v", err)
		}
		turn(t, r, 5)
		if len(p.events) > 0 {
			t.Errorf("EP-16: %v", p.events)
		}
	})
}

// Joined with itself by another program, a megabyte comes back whole: switching, producers and half-closes work as with other transports.
func TestConnJoin(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		a, b := new(screen), new(screen)
		first := connectTo(t, r, sh("yes"), a, soon())
		second := connectTo(t, r, sh("read x; read x; echo done"), b, soon())
		var res *reactor.JoinResult
		if _, err := reactor.Join(first, second, &reactor.JoinConfig{Done: func(j reactor.JoinResult) { res = &j }}); err != nil {
			t.Fatal(err)
		}
		until(t, r, func() bool { return res != nil })
		if res.BToA != 5 || res.AToB == 0 || a.err == nil || b.err == nil {
			t.Errorf("%+v, %v, %v", res, a.err, b.err)
		}
	})
}

// A terminal as a connection: CloseWrite types the end of the input, and Close hangs up.
func TestConnTerminal(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		for _, text := range []string{"hello\n", "hello"} {
			cmd := sh("stty -echo; echo ready; cat; echo over; exit 4")
			cmd.Terminal = openPTY(t, process.Size{Columns: 80, Rows: 24})
			p := new(halfScreen)
			c := connectTo(t, r, cmd, p, soon())
			until(t, r, p.has("ready"))
			_, _ = c.Write([]byte(text))
			_ = c.CloseWrite()
			until(t, r, p.lost)
			if s, ok := errors.AsType[process.Status](p.err); !ok || s.Code != 4 || !p.has("hello")() || !p.has("over\r\n")() {
				t.Errorf("%q: lost with %v after %q", text, p.err, p.got)
			}
			sameEvents(t, p.events, "made", "write lost", "read lost", "lost")
		}
		cmd := sh("trap 'exit 9' HUP; echo ready; while :; do sleep 0.01; done")
		cmd.Terminal = openPTY(t, process.Size{})
		p := new(screen)
		c := connectTo(t, r, cmd, p, nil)
		until(t, r, p.has("ready"))
		_ = c.Close()
		until(t, r, p.lost)
		if s, _ := c.Status(); p.err != reactor.ErrClosed || s.Code != 9 {
			t.Errorf("PROC-49: lost with %v, exit %v", p.err, s)
		}
	})
}

// source is a producer that notes what it is told.
type source struct{ paused, stopped int }

func (s *source) PauseProducing()  { s.paused++ }
func (s *source) ResumeProducing() {}
func (s *source) StopProducing()   { s.stopped++ }

// The ways to write, and what is refused when our direction has ended.
func TestConnWrites(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		p := new(halfScreen)
		c := connectTo(t, r, sh("cat; exit 0"), p, nil)
		_, _ = c.WriteVec([][]byte{[]byte("a"), nil, []byte("b")})
		_, _ = reactor.WriteShared(c, []byte("c\n"))
		until(t, r, p.has("abc\n"))
		if s := c.Stats(); s.In != 4 || s.Sent != 4 || c.Buffered() != 0 || !c.Producing() {
			t.Errorf("%+v", s)
		}
		first, second := new(source), new(source)
		if err := c.RegisterProducer(first); err != nil {
			t.Error(err)
		}
		if err := c.RegisterProducer(second); !errors.Is(err, reactor.ErrProducerRegistered) {
			t.Errorf("PROD-1: %v", err)
		}
		_ = c.CloseWrite()
		if _, err := c.Write([]byte("late\n")); err != nil {
			t.Errorf("TCP-69: with a producer: %v", err)
		}
		c.UnregisterProducer()
		if _, err := c.SwitchProtocol(p); err != reactor.ErrWriteClosed {
			t.Errorf("SwitchProtocol: %v", err)
		}
		if err := c.RegisterProducer(second); err != nil || second.stopped != 1 {
			t.Errorf("PROD-2: %v, stopped %d times", err, second.stopped)
		}
		for _, err := range []error{errorOf(c.WriteVec([][]byte{{1}})), errorOf(c.WriteShared([]byte{1}))} {
			if err != reactor.ErrWriteClosed {
				t.Errorf("after CloseWrite: %v", err)
			}
		}
		until(t, r, p.lost)
		if !p.has("late\n")() || c.Producing() || c.Protocol() != nil || first.stopped != 0 {
			t.Errorf("got %q, stopped %d", p.got, first.stopped)
		}
		if _, err := c.SwitchProtocol(p); err != reactor.ErrClosed {
			t.Errorf("SwitchProtocol after the end: %v", err)
		}
	})
}

func errorOf(_ int, err error) error { return err }

// Too much for a program that does not read is the end; paused output waits, and the program with it.
func TestConnBounds(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		p := new(screen)
		cmd := sh("sleep 1000")
		cmd.Group = true // of the sleep too
		cmd.MaxBuffered = 100_000
		c := connectTo(t, r, cmd, p, soon())
		var err error
		for err == nil {
			_, err = c.Write(make([]byte, 50_000))
			turn(t, r, 1)
		}
		isOne(t, "Write", err, reactor.ErrBufferFull)
		until(t, r, p.lost)
		isOne(t, "lost", p.err, reactor.ErrBufferFull)

		q := new(screen)
		cmd = sh("exec yes")
		c = connectTo(t, r, cmd, q, soon())
		until(t, r, func() bool { return len(q.got) > 0 })
		c.PauseProducing()
		n := len(q.got)
		turn(t, r, 20)
		if len(q.got) != n {
			t.Errorf("TCP-64: %d bytes came while it was paused", len(q.got)-n)
		}
		c.ResumeProducing()
		until(t, r, func() bool { return len(q.got) > n })
		c.StopProducing()
		until(t, r, q.lost)
		isOne(t, "lost", q.err, reactor.ErrClosed)
	})
}

// At a terminal, CloseWrite waits for a producer as elsewhere.
func TestConnTerminalProducer(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		cmd := sh("stty -echo; echo ready; cat")
		cmd.Terminal = openPTY(t, process.Size{Columns: 80, Rows: 24})
		p := new(halfScreen)
		c := connectTo(t, r, cmd, p, soon())
		until(t, r, p.has("ready"))
		if err := c.RegisterProducer(new(source)); err != nil {
			t.Fatal(err)
		}
		_ = c.CloseWrite()
		if _, err := c.Write([]byte("more\n")); err != nil {
			t.Error(err)
		}
		until(t, r, p.has("more\r\n"))
		if p.err != nil {
			t.Error("the end before the producer's")
		}
		c.UnregisterProducer()
		until(t, r, p.lost)
		isOne(t, "lost", p.err, io.EOF)
	})
}

// EP-16: without Lines the error output is logged, at a limited rate, so that a program cannot fill the log.
func TestConnLogsErrorOutput(t *testing.T) {
	for _, w := range testworld.Worlds() {
		if !w.Simulated() { // the second passes at once
			continue
		}
		r := w.Alone().New(t, reactor.Config{})
		var text bytes.Buffer
		p := new(screen)
		script := strings.Repeat("echo line >&2; ", 30)
		connectTo(t, r, sh(script), p, &process.ConnConfig{Logger: slog.New(slog.NewTextHandler(&text, nil))})
		until(t, r, p.lost)
		until(t, r, func() bool { return strings.Contains(text.String(), "unlogged=") })
		if n := strings.Count(text.String(), `msg="error output" program=/bin/sh pid=`); n < 11 || n >= 30 {
			t.Errorf("EP-16: %d records:\n%s", n, &text)
		}
	}
}
