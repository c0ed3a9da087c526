//go:build unix

package process_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
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

// result is what Run has given.
type result struct {
	process.Result
	err  error
	done int
}

// runTo runs cmd to its end.
func runTo(t *testing.T, r *reactor.Reactor, cmd *process.Command, o *process.RunConfig) *result {
	t.Helper()
	got := new(result)
	if _, err := process.Run(r, cmd, o, func(res process.Result, err error) { got.Result, got.err = res, err; got.done++ }); err != nil {
		t.Fatal(err)
	}
	if got.done != 0 {
		t.Error("done was called inside Run")
	}
	until(t, r, func() bool { return got.done > 0 })
	return got
}

// runOut is runTo with longer and longer timeouts, until the program has written something before it was ended: a busy machine may need more than
// the timeout to start it.
func runOut(t *testing.T, r *reactor.Reactor, cmd *process.Command, o process.RunConfig) *result {
	t.Helper()
	for o.Timeout = 50 * time.Millisecond; ; o.Timeout *= 4 {
		if got := runTo(t, r, cmd, &o); len(got.Output) > 0 || o.Timeout > 10*time.Second {
			return got
		}
	}
}

// PROC-51: output, error output and code; the signal of a program that was killed; input.
func TestRun(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		got := runTo(t, r, sh("echo out; echo err >&2"), nil)
		if string(got.Output) != "out\n" || string(got.ErrorOutput) != "err\n" || got.Status.Code != 0 || got.err != nil || got.done != 1 {
			t.Errorf("PROC-51: %q, %q, %v, %v", got.Output, got.ErrorOutput, got.Status, got.err)
		}
		got = runTo(t, r, sh("echo out; exit 7"), nil)
		if s, ok := errors.AsType[process.Status](got.err); string(got.Output) != "out\n" || !ok || s.Code != 7 || got.Status != s || !errors.Is(got.err, process.ErrTerminated) {
			t.Errorf("PROC-51: %q, %v, %v", got.Output, got.Status, got.err)
		}
		got = runTo(t, r, sh("echo out; echo err >&2; kill -KILL $$"), nil)
		if s, ok := errors.AsType[process.Status](got.err); string(got.Output) != "out\n" || string(got.ErrorOutput) != "err\n" || !ok || s.Signal != syscall.SIGKILL {
			t.Errorf("PROC-51: %q, %v", got.Output, got.err)
		}
		in := bytes.Repeat([]byte("0123456789"), 30_000)
		given := bytes.Clone(in)
		got = new(result)
		_, err := process.Run(r, sh("cat"), &process.RunConfig{Input: given}, func(res process.Result, err error) { got.Result, got.err = res, err; got.done++ })
		clear(given) // it is ours again
		until(t, r, func() bool { return got.done > 0 })
		if err != nil || !bytes.Equal(got.Output, in) || got.err != nil {
			t.Errorf("PROC-51: input: %d bytes, %v, %v", len(got.Output), got.err, err)
		}
		small := sh("sleep 0.01; cat")
		small.MaxBuffered = 10
		got = runTo(t, r, small, &process.RunConfig{Input: in})
		if !bytes.Equal(got.Output, in) || got.err != nil {
			t.Errorf("PROC-51: input beyond MaxBuffered: %d bytes, %v", len(got.Output), got.err)
		}
		got = runTo(t, r, sh("cat; echo end"), &process.RunConfig{Input: []byte{}})
		if string(got.Output) != "end\n" || got.err != nil {
			t.Errorf("PROC-51: empty input: %q, %v", got.Output, got.err)
		}
		got = runTo(t, r, sh("cat; echo end"), nil)
		if string(got.Output) != "end\n" || got.err != nil {
			t.Errorf("without an input: %q, %v", got.Output, got.err)
		}
		// Input that the program does not read.
		got = runTo(t, r, sh("exit 0"), &process.RunConfig{Input: make([]byte, 1<<20)})
		if got.err != nil {
			t.Errorf("input that nobody reads: %v", got.err)
		}
		got = runTo(t, r, sh("echo out1; echo err1 >&2; echo out2; echo err2 >&2; echo out3; echo err3 >&2"), &process.RunConfig{Merge: true})
		if want := "out1\nerr1\nout2\nerr2\nout3\nerr3\n"; string(got.Output) != want || got.ErrorOutput != nil {
			t.Errorf("PROC-51: mixed: %q, %q", got.Output, got.ErrorOutput)
		}
	})
}

// What is kept, how long it may take, and what is left behind have limits.
func TestRunLimits(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		for limit, o := range map[int]*process.RunConfig{1 << 20: nil, 1000: {Limit: 1000}, 999: {Limit: 999, Merge: true}} {
			got := runTo(t, r, sh("yes >&2 & exec yes"), o)
			if !errors.Is(got.err, process.ErrOutputLimit) || len(got.Output)+len(got.ErrorOutput) != limit {
				t.Errorf("%d bytes of %d, %v", len(got.Output)+len(got.ErrorOutput), limit, got.err)
			}
		}
		got := runTo(t, r, sh("head -c 1001 /dev/zero; exec sleep 1000"), &process.RunConfig{Limit: 1000})
		if !errors.Is(got.err, process.ErrOutputLimit) || got.Status.Signal != syscall.SIGKILL || len(got.Output) != 1000 {
			t.Errorf("one that writes no more: %d bytes, %v", len(got.Output), got.err)
		}
		got = runTo(t, r, sh("head -c 1000 /dev/zero"), &process.RunConfig{Limit: 1000})
		if len(got.Output) != 1000 || got.err != nil {
			t.Errorf("exactly the limit: %d bytes, %v", len(got.Output), got.err)
		}
		got = runTo(t, r, sh("head -c 3000000 /dev/zero"), &process.RunConfig{Limit: -1})
		if len(got.Output) != 3_000_000 || got.err != nil {
			t.Errorf("without a limit: %d bytes, %v", len(got.Output), got.err)
		}
		got = runOut(t, r, sh("echo out; exec sleep 1000"), process.RunConfig{Grace: time.Minute})
		if !errors.Is(got.err, process.ErrTimeout) || !errors.Is(got.err, os.ErrDeadlineExceeded) || got.Status.Signal != syscall.SIGTERM || string(got.Output) != "out\n" {
			t.Errorf("too long: %q, %v", got.Output, got.err)
		}
		if s, ok := errors.AsType[process.Status](got.err); !ok || s != got.Status {
			t.Errorf("the status is missing in %v", got.err)
		}
		got = runOut(t, r, sh("trap '' TERM; echo out; while :; do sleep 0.01; done"), process.RunConfig{Grace: 20 * time.Millisecond})
		if !errors.Is(got.err, process.ErrTimeout) || got.Status.Signal != syscall.SIGKILL {
			t.Errorf("too long, without SIGTERM: %v, %v", got.Status, got.err)
		}
		cmd := sh("sleep 1000 & echo $!")
		got = runTo(t, r, cmd, &process.RunConfig{Linger: 20 * time.Millisecond})
		if got.err != process.ErrOutputHeld || got.Status.Code != 0 || len(got.Output) == 0 {
			t.Errorf("held: %q, %v, %v", got.Output, got.Status, got.err)
		}
		killNumber(t, got.Output)
		if n := r.Stats().Pending; n != 0 {
			t.Errorf("%d timers", n)
		}
	})
}

// The program may take its time to read the input. If that is cut off, Run says so.
func TestRunInput(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		in := bytes.Repeat([]byte("0123456789"), 30_000)
		slow := sh("sleep 0.1; cat")
		slow.CloseTimeout = 20 * time.Millisecond
		got := runTo(t, r, slow, &process.RunConfig{Input: in})
		if !bytes.Equal(got.Output, in) || got.err != nil {
			t.Errorf("read slowly: %d bytes, %v", len(got.Output), got.err)
		}
		got = runTo(t, r, sh("sleep 1000 <&0 & echo $!"), &process.RunConfig{Input: in, Linger: 20 * time.Millisecond})
		if !errors.Is(got.err, process.ErrOutputHeld) {
			t.Errorf("held, and not read: %v", got.err)
		}
		killNumber(t, got.Output)
		// What holds the input alone has not cut off the output. The number comes when sleep no longer has the pipe of the $(): it
		// would hold the output otherwise, for longer than Linger on a busy machine.
		got = runTo(t, r, sh("exec 3<&0; n=$(exec 2>/dev/null; sleep 1000 <&3 >/dev/null & echo $!); echo $n"), &process.RunConfig{Input: in, Linger: 20 * time.Millisecond})
		if got.err != nil || got.Status.Code != 0 || len(got.Output) == 0 {
			t.Errorf("not read, and held: %q, %v, %v", got.Output, got.Status, got.err)
		}
		killNumber(t, got.Output)
		got = runTo(t, r, sh("echo 0123456789; exec sleep 1000"), &process.RunConfig{Input: in, Limit: 5})
		if !errors.Is(got.err, process.ErrOutputLimit) || errors.Is(got.err, process.ErrInput) {
			t.Errorf("not read, because of the limit: %v", got.err)
		}
	})
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			leaktest.KeepsDescriptors(t)
			r := reactor.New(world.Open(t), reactor.Config{MaxBufferedTotal: 100_000})
			defer r.Close()
			got := runTo(t, r, sh("sleep 0.1; exec cat"), &process.RunConfig{Input: make([]byte, 1<<20)})
			if !errors.Is(got.err, process.ErrInput) || !errors.Is(got.err, reactor.ErrBufferFull) || got.Status.Code != 0 || len(got.Output) == 1<<20 {
				t.Errorf("cut off: %d bytes, %v, %v", len(got.Output), got.Status, got.err)
			}
			got = runTo(t, r, sh("exec sleep 1000"), &process.RunConfig{Input: make([]byte, 1<<20), Timeout: 20 * time.Millisecond})
			if !errors.Is(got.err, process.ErrInput) || !errors.Is(got.err, process.ErrTimeout) {
				t.Errorf("cut off and too slow: %v", got.err)
			}
		})
	}
}

// After ErrTimeout and ErrOutputLimit nothing that the program has left behind is waited for, and its group is killed.
func TestRunKillsGroup(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		for want, o := range map[error]*process.RunConfig{process.ErrTimeout: {}, process.ErrOutputLimit: {Limit: 20}} {
			for _, group := range []bool{true, false} {
				o.Linger = -1 // else the test could not fail
				cmd := sh("sleep 1000 & echo $!; sleep 0.2; echo 0123456789012345678901234567890; wait")
				cmd.Group = group
				var got *result
				if want == process.ErrTimeout {
					got = runOut(t, r, cmd, *o)
				} else {
					got = runTo(t, r, cmd, o)
				}
				if !errors.Is(got.err, want) || got.Status.Signal != syscall.SIGKILL {
					t.Errorf("%v: %v, %v", want, got.Status, got.err)
				}
				number, _, _ := bytes.Cut(got.Output, []byte("\n"))
				if !group {
					killNumber(t, number)
					continue
				}
				awaitDead(t, atoi(string(number)))
			}
		}
	})
}

// With AtStop, what the program has started in its group ends with the reactor too.
func TestRunGroupAtStop(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			for i, grace := range []time.Duration{time.Minute, -1, time.Minute} {
				value := i == 2
				r := reactor.New(world.Open(t), reactor.Config{})
				file := t.TempDir() + "/number"
				cmd := sh(`sleep 1000 & echo $! > "$1.new"; mv "$1.new" "$1"; wait`, file)
				cmd.Group, cmd.AtStop = true, grace
				got := new(result)
				var err error
				if value {
					_, err = process.Value(r, cmd, func(_ int, err error) { got.err = err; got.done++ })
				} else {
					_, err = process.Run(r, cmd, nil, func(res process.Result, err error) { got.err = err; got.done++ })
				}
				if err != nil {
					t.Fatal(err)
				}
				var number []byte
				for i := 0; len(number) == 0 && i < 5000; i++ {
					time.Sleep(time.Millisecond)
					number, _ = os.ReadFile(file)
				}
				r.CallLater(0, func() { r.Stop() })
				if err := r.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got.done != 1 || !errors.Is(got.err, process.ErrTerminated) || errors.Is(got.err, reactor.ErrStopped) {
					t.Errorf("%d calls, %v", got.done, got.err)
				}
				awaitDead(t, atoi(string(number)))
			}
		})
	}
}

// killNumber kills the process whose number is p.
func killNumber(t *testing.T, p []byte) {
	t.Helper()
	pid := atoi(string(p))
	if pid <= 1 {
		t.Fatalf("%q is no number of a process", p)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// PROC-51: the output; error output fails at once, unless it is mixed in.
func TestOutput(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		output := func(cmd *process.Command, o *process.RunConfig) (out string, c *process.Child, err error) {
			done := 0
			c, err = process.Output(r, cmd, o, func(p []byte, e error) { out, err = string(p), e; done++ })
			if err != nil {
				t.Fatal(err)
			}
			until(t, r, func() bool { return done > 0 })
			return out, c, err
		}
		if out, _, err := output(sh("printf hello"), nil); out != "hello" || err != nil {
			t.Errorf("PROC-51: %q, %v", out, err)
		}
		if out, _, err := output(sh("echo out; sleep 0.01; echo err >&2"), &process.RunConfig{Merge: true}); out != "out\nerr\n" || err != nil {
			t.Errorf("PROC-51: mixed: %q, %v", out, err)
		}
		out, _, err := output(sh("echo out; exit 1"), nil)
		if s, ok := errors.AsType[process.Status](err); out != "out\n" || !ok || s.Code != 1 {
			t.Errorf("PROC-51: %q, %v", out, err)
		}
		_, c, err := output(sh("echo err >&2; exec sleep 1000"), nil)
		e, ok := errors.AsType[*process.ErrorOutput](err)
		if !ok || string(e.Text) != "err\n" || e.Child != c || !errors.Is(err, process.ErrErrorOutput) || !strings.Contains(err.Error(), "err") {
			t.Fatalf("PROC-51: %v", err)
		}
		if _, known := c.Status(); known {
			t.Error("PROC-51: it was not told at once")
		}
		var end *process.Status
		e.Child.AfterEnd(func(s process.Status) { end = &s })
		c.Kill(0)
		until(t, r, func() bool { return end != nil })
	})
}

// PROC-51, PROC-33: a program that has written to its error output loses its pipes, also if who is told of that panics.
func TestOutputPanics(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
			var end *process.Status
			c, err := process.Output(r, sh("echo err >&2; sleep 0.1; echo out && exit 0"), nil, func([]byte, error) { panic("done") })
			if err != nil {
				t.Fatal(err)
			}
			c.AfterEnd(func(s process.Status) { end = &s })
			until(t, r, func() bool { return end != nil })
			if end.Success() {
				t.Error("PROC-51: its output was still read")
			}
		})
	}
}

// PROC-51: the exit code alone.
func TestValue(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		for script, want := range map[string]int{"exit 0": 0, "cat; echo out; echo err >&2; exit 33": 33, "kill -INT $$": -1} {
			code, err, done := 99, error(nil), 0
			if _, err := process.Value(r, sh(script), func(c int, e error) { code, err = c, e; done++ }); err != nil {
				t.Fatal(err)
			}
			until(t, r, func() bool { return done > 0 })
			s, isStatus := errors.AsType[process.Status](err)
			if code != want || isStatus != (want < 0) || want < 0 && s.Signal != syscall.SIGINT {
				t.Errorf("PROC-51: %s is %d, %v", script, code, err)
			}
		}
	})
}

// PROC-51: a result that nobody wants to know is not told, and harms nobody.
func TestRunUnheard(t *testing.T) {
	onWorlds(t, func(t *testing.T, r *reactor.Reactor) {
		_, a := process.Run(r, sh("exit 0"), nil, nil)
		_, b := process.Output(r, sh("echo hello"), nil, nil)
		_, c := process.Value(r, sh("exit 1"), nil)
		if err := errors.Join(a, b, c); err != nil {
			t.Fatal(err)
		}
		until(t, r, func() bool { return r.Stats().Sources == 0 })
	})
}

// What cannot be started is an error at once, and done is not called.
func TestRunFails(t *testing.T) {
	r := first(t)
	bad := &process.Command{Path: "/nonexistent"}
	mapped := sh("exit 0")
	mapped.Files = map[int]process.File{}
	for cmd, want := range map[*process.Command]error{bad: fs.ErrNotExist, mapped: process.ErrTerminalFiles} {
		_, a := process.Run(r, cmd, nil, func(process.Result, error) { t.Error("done of Run") })
		_, b := process.Output(r, cmd, nil, func([]byte, error) { t.Error("done of Output") })
		_, c := process.Value(r, cmd, func(int, error) { t.Error("done of Value") })
		for _, err := range []error{a, b, c} {
			if op, ok := errors.AsType[*reactor.OpError](err); !errors.Is(err, want) || !ok || op.Op != "spawn" {
				t.Errorf("%v, want %v", err, want)
			}
		}
	}
	if !errors.Is(process.ErrTimeout, kernel.ErrTimeout) {
		t.Error("a timeout is none")
	}
}
