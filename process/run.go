package process

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// The errors of Run, Output and Value, besides those of the program itself.
var (
	// ErrOutputLimit: the program has written more than RunConfig.Limit, and was killed.
	ErrOutputLimit = kernel.Sentinel("the program has written too much", reactor.ErrLost)
	// ErrTimeout: the program has run for longer than RunConfig.Timeout, and was killed. It is also kernel.ErrTimeout.
	ErrTimeout = kernel.Sentinel("the program has taken too long", reactor.ErrLost, kernel.ErrTimeout)
	// ErrOutputHeld: the program has exited, and something that it has left behind holds its output. What came until then is there.
	ErrOutputHeld = kernel.Sentinel("the program has left a process behind that holds its output", reactor.ErrLost)
	// ErrStillRunning: a program that was to end cannot be signalled, because it has become somebody else's, or has not ended after SIGKILL. It
	// still runs. If the signal was refused, the error is kernel.ErrPermission too.
	ErrStillRunning = kernel.Sentinel("the program was to end, and still runs", reactor.ErrLost)
	// ErrInput: what was left of RunConfig.Input was dropped, and not because the program has closed its input. The cause is in the error too, such as
	// reactor.ErrBufferFull because of reactor.Config.MaxBufferedTotal. The program has read a part, and then the end.
	ErrInput = kernel.Sentinel("the input of the program was cut off", reactor.ErrLost)
	// ErrErrorOutput: the program has written to its error output. It is in an [*ErrorOutput].
	ErrErrorOutput = kernel.Sentinel("the program has written to its error output", reactor.ErrLost)
)

// ErrorOutput is the error of [Output] when the program writes to its error output (PROC-51). errors.Is finds ErrErrorOutput in it.
type ErrorOutput struct {
	// Text is the first piece of it.
	Text []byte
	// Child is the program, which has lost its pipes, and may run still. Its end is told by AfterEnd.
	Child *Child
}

// Error has the text.
func (e *ErrorOutput) Error() string { return fmt.Sprintf("%v: %q", ErrErrorOutput, e.Text) }

// Unwrap is ErrErrorOutput.
func (e *ErrorOutput) Unwrap() error { return ErrErrorOutput }

// Defaults of RunConfig.
const (
	defaultRunLimit  = 1 << 20
	defaultRunLinger = 5 * time.Second
)

// RunConfig configures Run and Output. Nil and the zero value are the defaults.
type RunConfig struct {
	// Input is written to the program's standard input, which then ends. Nil: the input is the null device. It belongs to the caller again when Run
	// returns. The program may take as long as it likes to read it: StreamConfig.CloseTimeout of the Command does not count.
	Input []byte
	// Merge has both outputs in one, in the order in which the program has written them.
	Merge bool
	// Limit is how many bytes of output and error output together are kept. If the program writes more it is killed, and the error is ErrOutputLimit. Zero: 1 MiB;
	// negative: no limit.
	Limit int
	// Timeout is how long the program may run. Then it is ended by Child.Kill(Grace), or KillGroup if it has a Group or a Session, and the error is ErrTimeout.
	// Zero or negative: no limit.
	Timeout, Grace time.Duration
	// Linger is how long Run waits, after the exit, for the end of the output, which something that the program has left behind may hold open. Then
	// the error is ErrOutputHeld. Input that such a thing holds and does not read is dropped then, which is no error. Zero: 5 s; negative: no limit. After ErrTimeout and ErrOutputLimit it does not wait for output, but as long, after the
	// Grace, for the exit. If there is none, or the program cannot be signalled, the error is ErrStillRunning too, the pipes are closed, and Child.AfterEnd tells the end.
	Linger time.Duration
}

// Result is what a program has done.
type Result struct {
	// Output and ErrorOutput are what it has written. They belong to the caller.
	Output, ErrorOutput []byte
	// Status has its code, or the signal that has ended it.
	Status Status
}

// Run starts the program of cmd and gives its outputs and status to done when it has ended. Files of cmd must be nil, and Terminal too. done is
// called once, on the loop's goroutine, and never inside Run; nil if nobody wants to know. Its error is nil if the program has exited with code 0; otherwise it is the [Status], or an error that is
// ErrOutputLimit, ErrTimeout, ErrStillRunning, ErrOutputHeld or ErrInput, or several of them, and, if the program has not ended with success, the Status too. The Result is what there was, in any case. If the reactor ends first, the
// Status is reactor.ErrStopped.
//
// With AtStop of cmd, the stop of the reactor ends the program as Timeout does: its group too, if it has a Group or a Session.
//
// An error of Run is one of Spawn; then done is not called. Run is for the loop's goroutine.
func Run(r *reactor.Reactor, cmd *Command, o *RunConfig, done func(Result, error)) (*Child, error) {
	return start(&runner{done: done}, r, cmd, o)
}

// Output is Run for the output alone. If the program writes to its error output, its pipes are closed and done gets an [*ErrorOutput] at once,
// unless o.Merge has both in one (PROC-51). A program that does not end with success is an error, with what there was.
func Output(r *reactor.Reactor, cmd *Command, o *RunConfig, done func([]byte, error)) (*Child, error) {
	w := &runner{}
	if done != nil {
		w.done = func(res Result, err error) { done(res.Output, err) }
	}
	w.strict = o == nil || !o.Merge
	return start(w, r, cmd, o)
}

// Value is Run for the exit code alone. The program has the null device as its input and outputs. If a signal has ended it, or its status is unknown, the code is
// -1 and the error is the [Status]; otherwise the error is nil, whatever the code is (PROC-51).
func Value(r *reactor.Reactor, cmd *Command, done func(code int, err error)) (*Child, error) {
	if cmd.Files != nil || cmd.Terminal != nil {
		return nil, &reactor.OpError{Op: "spawn", Err: ErrTerminalFiles}
	}
	own := *cmd
	own.Files = map[int]File{0: Null(), 1: Null(), 2: Null()}
	own.stopGroup = own.Group || own.Session
	c, err := Spawn(r, &own, nil)
	if err == nil && done != nil {
		c.AfterEnd(func(s Status) {
			if s.Code < 0 {
				done(s.Code, s)
			} else {
				done(s.Code, nil)
			}
		})
	}
	return c, err
}

// start starts the program of cmd with w.
func start(w *runner, r *reactor.Reactor, cmd *Command, o *RunConfig) (*Child, error) {
	if cmd.Files != nil || cmd.Terminal != nil {
		return nil, &reactor.OpError{Op: "spawn", Err: ErrTerminalFiles}
	}
	if o != nil {
		w.cfg = *o
	}
	if w.cfg.Limit == 0 {
		w.cfg.Limit = defaultRunLimit
	}
	if w.cfg.Linger == 0 {
		w.cfg.Linger = defaultRunLinger
	}
	own := *cmd
	own.Files = map[int]File{0: Null(), 1: ReadPipe(), 2: ReadPipe()}
	if w.cfg.Input != nil {
		own.Files[0] = WritePipe()
	}
	if w.cfg.Merge {
		own.Files[2] = Same(1)
	}
	own.MaxBuffered = max(own.MaxBuffered, len(w.cfg.Input))
	own.CloseTimeout = -1 // Timeout counts
	w.group = own.Group || own.Session
	own.stopGroup = w.group
	w.timer.Init(r, w.late)
	return Spawn(r, &own, w)
}

// runner is the protocol of Run.
type runner struct {
	Base
	cfg    RunConfig
	strict bool // error output is an error
	group  bool // the program has a process group
	killed bool // the program was told to end
	done   func(Result, error)
	res    Result
	err    error // what has gone wrong besides the program itself
	timer  reactor.DelayedCall
}

func (w *runner) ChildMade(c *Child) {
	w.C = c
	if w.cfg.Input != nil {
		_, _ = c.Write(w.cfg.Input) // an error is the end of that pipe, and PipeLost tells it
		c.CloseStdin()
		w.cfg.Input = nil
	}
	if w.cfg.Timeout > 0 {
		w.timer.Reset(w.cfg.Timeout)
	}
}

// late is the end of Timeout, of Linger after the exit, or of Linger after the program was killed.
func (w *runner) late() {
	switch {
	case w.C.exited:
		if slices.ContainsFunc(w.C.pipes, func(p pipe) bool { return !p.writes && !p.lost }) { // else the input alone is held
			w.fail(ErrOutputHeld)
		}
		w.drop()
	case w.killed:
		w.giveUp(ErrStillRunning)
	default:
		w.fail(ErrTimeout)
		w.kill(w.cfg.Grace)
	}
}

// kill has the program end. One that cannot be signalled is given up at once, and one that does not end after Linger.
func (w *runner) kill(grace time.Duration) {
	w.killed = true
	send := w.C.Kill
	if w.group {
		send = w.C.KillGroup
	}
	w.timer.Cancel()
	if err := send(grace); err != nil && !errors.Is(err, kernel.ErrExited) {
		w.giveUp(fmt.Errorf("%w: %w", ErrStillRunning, err))
	} else if w.cfg.Linger > 0 {
		w.timer.Reset(kernel.After(max(grace, 0), w.cfg.Linger))
	}
}

// giveUp leaves a program behind that still runs.
func (w *runner) giveUp(err error) {
	w.drop()
	w.res.Status = Status{Exit: kernel.Exit{Unknown: true, Code: -1}, Cause: err}
	w.finish(errors.Join(w.err, err))
}

// drop ends the pipes at once. Close would wait until the input is read.
func (w *runner) drop() {
	for _, p := range w.C.pipes {
		p.s.Abort()
	}
}

// PipeLost notes that the input was cut off, unless the program has closed it, the reactor has ended, or drop has done it, for a reason
// that done is told.
func (w *runner) PipeLost(fd int, err error) {
	if fd != 0 {
		return
	}
	for _, fine := range []error{io.EOF, reactor.ErrClosed, reactor.ErrAborted, kernel.ErrBroken, kernel.ErrReset, reactor.ErrStopped} {
		if errors.Is(err, fine) {
			return
		}
	}
	w.fail(fmt.Errorf("%w: %w", ErrInput, err))
}

// fail adds err to what done is told, once: a program that has lost its input may also be too slow.
func (w *runner) fail(err error) {
	switch {
	case w.err == nil:
		w.err = err
	case !errors.Is(w.err, err):
		w.err = errors.Join(w.err, err)
	}
}

// DataReceived keeps p.
func (w *runner) DataReceived(fd int, p []byte) {
	to := &w.res.Output
	if fd == 2 {
		to = &w.res.ErrorOutput
		if w.strict {
			w.drop() // first, because done may panic
			w.finish(&ErrorOutput{Text: append([]byte(nil), p...), Child: w.C})
			return
		}
	}
	if room := w.cfg.Limit - len(w.res.Output) - len(w.res.ErrorOutput); w.cfg.Limit > 0 && len(p) > room {
		*to = append(*to, p[:room]...)
		w.fail(ErrOutputLimit)
		w.drop()
		w.kill(0)
		return
	}
	*to = append(*to, p...)
}

// Exited begins the time for which the rest of the output is waited for. If the program had to be killed, that is only what is in the pipes.
func (w *runner) Exited(Status) {
	w.timer.Cancel()
	if w.killed {
		w.rest(w.C.received()+maxPipe, 0, 0)
		return
	}
	if w.cfg.Linger > 0 {
		w.timer.Reset(w.cfg.Linger)
	}
}

// rest drops the pipes when two turns have brought nothing, or when most was received.
func (w *runner) rest(most, seen uint64, quiet int) {
	w.C.r.Post(func() {
		in := w.C.received()
		if quiet++; in != seen {
			quiet = 0
		}
		if quiet == 2 || in > most {
			w.drop()
		} else if !w.C.ended {
			w.rest(most, in, quiet)
		}
	})
}

func (w *runner) Ended(s Status) {
	w.timer.Cancel()
	w.res.Status = s
	switch err := s.Err(); {
	case w.err == nil:
		w.finish(err)
	case err == nil:
		w.finish(w.err)
	default:
		w.finish(errors.Join(w.err, err))
	}
}

// finish calls done, once.
func (w *runner) finish(err error) {
	if done := w.done; done != nil {
		w.done = nil
		done(w.res, err)
	}
}

// LogPrefix names it in the log.
func (w *runner) LogPrefix() string { return "process.Run" }
