package process

import (
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Child is a program that [Spawn] has started, with its pipes. It is for the loop's goroutine only. It has no addresses (PROC-42).
type Child struct {
	r      *reactor.Reactor
	k      kernel.Child
	proto  Protocol
	output OutputReceiver // proto, or what it wraps, if it is one
	errors ErrorReceiver
	notice *reactor.Notice
	pipes  []pipe // in the order of their numbers
	open   int    // pipes that have not ended
	pid    int
	name   string // for the log
	made   bool   // Spawn is through
	exited bool
	ended  bool
	status Status
	kill   kill
	stop   stop
	wait   time.Duration // of lookLater, the last time
	after  []func(Status)
	// terminal is that of Command, or nil.
	terminal *PTY
}

// LogPrefix is the name that the protocol had when the child was started, and "child".
func (c *Child) LogPrefix() string { return c.name }

// call calls fn if there is a protocol.
func (c *Child) call(fn func()) {
	if c.proto != nil {
		c.r.Guard(c.name, fn)
	}
}

// Pid is the number of the process. It is 0 once the exit is known, because the number may then belong to another process (PROC-28).
func (c *Child) Pid() int { return c.pid }

// Reactor is the loop of the child.
func (c *Child) Reactor() *reactor.Reactor { return c.r }

// Status tells how the child has exited, and whether it has. Before the exit it is false.
func (c *Child) Status() (Status, bool) { return c.status, c.exited }

// AfterEnd has fn called once, after Ended of the protocol, with the same status. If the child has ended already, fn is called in
// the next turn, or at once if the reactor has stopped (THR-32).
func (c *Child) AfterEnd(fn func(Status)) {
	if c.ended {
		c.r.Tell(func(error) { fn(c.status) })
		return
	}
	c.after = append(c.after, fn)
}

// NoticeCame takes the exit status. It is called by the reactor.
func (c *Child) NoticeCame() {
	e, gone, err := c.k.Wait()
	if !gone {
		c.lookLater()
		return
	}
	if err != nil && !errors.Is(err, syscall.ECHILD) {
		c.r.Logger().Error("waiting for a child", slog.Int("pid", c.pid), slog.Any("err", err)) // PROC-44
	}
	c.notice.Stop()
	c.hasExited(Status{Exit: e, Cause: err}, true)
}

// lookLater looks for the exit again after a while. The system says that a child has exited, and does not give the status, while another
// process traces it and has not taken the status first. That may be long, and the notice comes in every turn.
func (c *Child) lookLater() {
	const first, most = time.Millisecond, 100 * time.Millisecond
	c.notice.Pause()
	c.wait = min(max(2*c.wait, first), most)
	c.r.CallLater(c.wait, c.notice.Resume)
}

// NoticeLost ends the child for us, because the reactor ends. It is called by the reactor. The system does not keep the child as a zombie.
func (c *Child) NoticeLost(err error) {
	if e, gone, waitErr := c.k.Wait(); gone {
		c.hasExited(Status{Exit: e, Cause: waitErr}, true)
		return
	}
	c.kill.lost(c)
	c.hasExited(Status{Exit: kernel.Exit{Code: -1, Unknown: true}, Cause: err}, false)
}

// hasExited notes the exit. told says that the ExitListener hears of it.
func (c *Child) hasExited(s Status, told bool) {
	c.exited, c.status, c.pid = true, s, 0
	c.kill.exited(c)
	if c.terminal != nil {
		c.terminal.exited()
	}
	if l, ok := exitListener(c.proto); ok && told {
		c.call(func() { l.Exited(s) })
	}
	c.stop.exited(c)
	c.finish()
}

func exitListener(p Protocol) (ExitListener, bool) {
	if p == nil {
		return nil, false
	}
	return ProtocolAs[ExitListener](p)
}

// finish tells the end, when the exit is known and the last pipe has ended.
func (c *Child) finish() {
	if !c.exited || c.open > 0 || c.ended || !c.made {
		return
	}
	c.ended = true
	c.call(func() { c.proto.Ended(c.status) })
	c.stop.end()
	after := c.after
	c.after = nil
	for _, fn := range after {
		c.r.Guard("AfterEnd", func() { fn(c.status) })
	}
}

// pipe returns the pipe of that number, or nil.
func (c *Child) pipe(fd int) *pipe {
	for i := range c.pipes {
		p := &c.pipes[i]
		if int(p.number) == fd && !p.terminal || p.terminal && fd >= 0 && fd <= 2 {
			return p
		}
	}
	return nil
}

// Write writes to the child's standard input: descriptor 0, or its terminal. It is Write of a [reactor.Transport]. If the child has no such pipe it
// takes nothing, and the error is ErrNoPipe (PROC-31).
func (c *Child) Write(p []byte) (int, error) { return c.WriteTo(0, p) }

// WriteTo writes to the child's descriptor fd, which is a WritePipe. It is ErrNoPipe if there is no such pipe, and reactor.ErrClosed after its end
// or ClosePipe.
func (c *Child) WriteTo(fd int, p []byte) (int, error) {
	if x := c.pipe(fd); x != nil && (x.writes || x.terminal) {
		return x.s.Write(p)
	}
	return 0, ErrNoPipe
}

// Transport is the transport of the pipe that is the descriptor fd in the child, also after its end; with a terminal that of the terminal. It is nil if there is no
// such pipe.
func (c *Child) Transport(fd int) *reactor.Stream {
	if p := c.pipe(fd); p != nil {
		return p.s
	}
	return nil
}

// ClosePipe closes the pipe that is the descriptor fd in the child. What was written to a WritePipe is sent first; if the child takes none of it
// for StreamConfig.CloseTimeout it is dropped (PROC-32). A ReadPipe is read no more at once: the child gets EPIPE or SIGPIPE with its next write
// (PROC-33). PipeLost is called later. Without such a pipe, and for the second time, it does nothing. A terminal has no pipes to close (PROC-48).
func (c *Child) ClosePipe(fd int) {
	if p := c.pipe(fd); p != nil && !p.terminal {
		_ = p.s.Close()
	}
}

// CloseStdin is ClosePipe(0): the child reads what was written, and then the end.
func (c *Child) CloseStdin() { c.ClosePipe(0) }

// Close closes all pipes, as ClosePipe does, or the terminal, whose session then gets SIGHUP, also if the child has left it. The child is not killed, and Ended still waits for its
// exit (PROC-34, PROC-49). The error is always nil.
func (c *Child) Close() error {
	for _, p := range c.pipes {
		_ = p.s.Close()
	}
	if c.terminal != nil && c.terminal.over {
		c.terminal.Close() // the program has left it
	}
	return nil
}

// RegisterProducer registers p with the standard input, as [reactor.Consumer] says. If the child has none, p is stopped at once and not registered (PROC-37).
func (c *Child) RegisterProducer(p reactor.Producer) error {
	if x := c.pipe(0); x != nil && (x.writes || x.terminal) {
		return x.s.RegisterProducer(p)
	}
	c.r.Guard("RegisterProducer", p.StopProducing)
	return nil
}

// UnregisterProducer removes the producer of the standard input.
func (c *Child) UnregisterProducer() {
	if x := c.pipe(0); x != nil {
		x.s.UnregisterProducer()
	}
}

// PauseProducing stops reading all pipes (PROC-38). The child waits when they are full. While it is paused, the end of a pipe is not noticed.
func (c *Child) PauseProducing() {
	for _, p := range c.pipes {
		if !p.writes {
			p.s.PauseProducing()
		}
	}
}

// ResumeProducing reads them again.
func (c *Child) ResumeProducing() {
	for _, p := range c.pipes {
		if !p.writes {
			p.s.ResumeProducing()
		}
	}
}

// StopProducing is Close.
func (c *Child) StopProducing() { _ = c.Close() }

// Signal sends s to the child. It is ErrExited once the exit is known, and so never reaches another process. A child that has exited a moment ago takes it
// without effect. A signal that the system does not have is a [*kernel.OptionError] (PROC-40). For names see [SignalByName].
func (c *Child) Signal(s os.Signal) error {
	if c.exited {
		return ErrExited
	}
	return c.k.Signal(s)
}

// SignalGroup sends s to the process group of the child, which needs Command.Session, Group or Terminal; otherwise it is kernel.ErrUnsupported. After the exit it is
// ErrExited.
func (c *Child) SignalGroup(s os.Signal) error {
	if c.exited {
		return ErrExited
	}
	return c.k.SignalGroup(s)
}

var (
	_ reactor.Producer       = (*Child)(nil)
	_ reactor.Consumer       = (*Child)(nil)
	_ reactor.NoticeListener = (*Child)(nil)
)
