package process

import (
	"log/slog"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Defaults of ConnConfig.
const (
	defaultLinger = 5 * time.Second
	defaultGrace  = 5 * time.Second
)

// linesPerSecond is how many lines of error output of one program are logged in a second.
const linesPerSecond = 10

// ConnConfig configures [Connect]. Nil and the zero value are the defaults.
type ConnConfig struct {
	// ErrorOutput is the program's descriptor 2: Null, Given(2) for the error output of this process, or Same(1) to mix it into the
	// output. The zero File: a pipe, whose lines go to Lines. With a terminal it does not count.
	ErrorOutput File
	// Lines gets each line of the error output, without its end, on the loop's goroutine. The line is lent until Lines returns. A line of
	// more than 1024 bytes comes in pieces. Nil: lines are logged at level info, ten in a second at most, and the rest is counted.
	// After Abort and after ConnectionLost lines may still come, until Exited.
	Lines func(line []byte)
	// Logger gets the lines if Lines is nil. Nil: that of the reactor.
	Logger *slog.Logger
	// Linger is how long the program may run when both directions have ended, before it is asked to end; and how long, after its
	// exit, the output may be silent if something that it has left behind holds it open, before it is cut off. Zero: 5 s; negative: no limit.
	Linger time.Duration
	// Grace is how long the program may take to end when it was asked to, by SIGTERM. Then it is killed. Both go to its process group if it has a
	// Group, a Session or a Terminal. Zero: 5 s; negative: it is killed at once.
	Grace time.Duration
	// Exited is called once, on the loop's goroutine, when the program has exited and its pipes have ended, also if the connection was lost before. Nil:
	// nobody is told.
	Exited func(Status)
}

// Conn is the standard input and output of a program as one transport: what is written is its input, and what it writes is received. With a
// terminal both are the terminal. Its methods are for the loop's goroutine.
//
//	| what happens                         | a HalfCloseListener                    | another protocol                          |
//	|--------------------------------------|----------------------------------------|-------------------------------------------|
//	| the program ends its output          | ReadConnectionLost; writing goes on    | what is buffered is sent, then its input ends |
//	| the program ends its input           | writes are ErrClosed; reading goes on  | the same                                  |
//	| CloseWrite, and all is sent          | WriteConnectionLost                    | reading goes on                           |
//	| both directions have ended           | Linger for the program to end by itself | the same                                 |
//	| it has exited, and its output has ended | ConnectionLost                      | the same                                  |
//
// ConnectionLost tells of the exit: io.EOF if the program has exited with code 0, and otherwise its [Status], which is ErrTerminated. It is an error that is
// ErrOutputHeld if the output was cut off after the exit, and one that is ErrStillRunning if the program was to end after Linger and could not be ended. After Close it is reactor.ErrClosed, unless the output had ended before and the exit is no success; after Abort reactor.ErrAborted, and as for other transports if
// the reactor stops, a callback panics or too much was written; Status tells of the exit then, when it is known.
//
// After Close, output is read and dropped until the program has ended, so that it can finish its work. Abort ends it: SIGTERM, and SIGKILL after Grace;
// ConnectionLost does not wait for that.
//
// A terminal has no half-close. CloseWrite types its end-of-file character, Ctrl-D, behind what was written: once, and twice if that is not at the beginning of a line. Close
// hangs up.
type Conn struct {
	cfg     ConnConfig
	child   *Child
	proto   reactor.Protocol
	addr    kernel.Addr
	in, out *reactor.Stream // the same with a terminal
	errs    *reactor.Stream // nil: no pipe of ours
	timer   reactor.DelayedCall
	reason  error // why we end it; nil: by itself
	seen    uint64
	lines   lineCutter
	state   connState
	write   connWrite
	open    connPipes // those that have not ended
	group   bool
	pty     bool
	paused  bool // reading
	asked   bool // the program was asked to end, because Linger has passed
	ended   bool // the program has, with its pipes
	told    bool // the protocol knows of the end of the output
	sink    connSink
}

// connState is how far the end of a Conn is.
type connState uint8

const (
	connNew     connState = iota // ConnectionMade was not called
	connOpen                     // until then nothing has ended but directions
	connClosing                  // Close was called
	connEnding                   // and the program has exited: its error output alone is still read
	connFailing                  // the pipes are being dropped: after Abort, a failure, or Linger; reason says why
	connLost                     // ConnectionLost was called
)

// connWrite is how far the end of our direction is.
type connWrite uint8

const (
	writeOn     connWrite = iota
	writeEnding           // CloseWrite was called
	writeEnded            // it was carried out
	writeBroken           // the program has ended its input
)

// Connect starts the program of cmd as [Spawn] does, and connects p to its standard input and output: p's ConnectionMade is called before Connect
// returns. Files of cmd must be nil. If AtStop is zero, it is Grace, so that the program does not outlive the reactor; nor does its process group, if it has one. Both addresses are those of a process, with
// the path of cmd as the name.
//
// An error is one of Spawn, and then p hears nothing. With a Terminal it is as after [PTY.Attach]: the PTY is used up.
func Connect(r *reactor.Reactor, cmd *Command, p reactor.Protocol, o *ConnConfig) (*Conn, error) {
	c := &Conn{proto: p, pty: cmd.Terminal != nil, group: cmd.Group || cmd.Session || cmd.Terminal != nil}
	if o != nil {
		c.cfg = *o
	}
	if c.cfg.Linger == 0 {
		c.cfg.Linger = defaultLinger
	}
	if c.cfg.Grace == 0 {
		c.cfg.Grace = defaultGrace
	}
	c.addr = kernel.Addr{Net: kernel.Process, Name: cmd.Path}
	c.lines.tell = c.cfg.Lines
	if cmd.Files != nil {
		return nil, &reactor.OpError{Op: "spawn", Remote: c.addr, Err: ErrTerminalFiles}
	}
	own := *cmd
	if own.AtStop == 0 {
		own.AtStop = c.cfg.Grace
	}
	own.stopGroup = c.group
	c.timer.Init(r, c.late)
	if c.pty {
		s, err := cmd.Terminal.Attach(r, &connSide{c: c, what: sideTerminal}, &cmd.StreamConfig)
		if err != nil {
			return nil, err
		}
		c.in, c.out = s, s
	} else {
		own.Files = c.files()
	}
	if _, err := Spawn(r, &own, &connChild{c}); err != nil {
		c.state = connLost
		if c.pty {
			c.in.Abort()
		}
		return nil, err
	}
	return c, nil
}

// files are the descriptors of the program.
func (c *Conn) files() map[int]File {
	errs := c.cfg.ErrorOutput
	if errs.kind == 0 {
		errs = ReadPipe().For(&connSide{c: c, what: sideErrors})
	}
	return map[int]File{
		0: WritePipe().For(&connSide{c: c, what: sideInput}),
		1: ReadPipe().For(&connSide{c: c, what: sideOutput}),
		2: errs,
	}
}

// connChild is the protocol of the program.
type connChild struct{ c *Conn }

// ChildMade connects the protocol. The streams have been attached.
func (x *connChild) ChildMade(child *Child) {
	c := x.c
	c.child = child
	c.state = connOpen
	if c.lines.tell == nil {
		pid, log := child.Pid(), c.cfg.Logger
		if log == nil {
			log = c.Reactor().Logger()
		}
		c.lines.limit.PerSecond = linesPerSecond
		c.lines.tell = func(line []byte) {
			c.lines.limit.Log(c.Reactor(), log, slog.LevelInfo, "error output",
				slog.String("program", c.addr.Name), slog.Int("pid", pid), slog.String("line", string(line)))
		}
	}
	c.guard(func() { c.proto.ConnectionMade(c) })
}

func (x *connChild) DataReceived(int, []byte) {}
func (x *connChild) PipeLost(int, error)      {}

// Exited begins to wait for the end of the output.
func (x *connChild) Exited(Status) {
	x.c.timer.Cancel() // which waits for the exit, if it does
	x.c.settle()
}

// Ended tells the loss, if nothing holds it back.
func (x *connChild) Ended(s Status) {
	c := x.c
	c.ended = true
	c.settle()
	if c.cfg.Exited != nil {
		c.Reactor().Guard(c.proto, func() { c.cfg.Exited(s) })
	}
}

// LogPrefix is that of the protocol.
func (x *connChild) LogPrefix() string { return reactor.LogPrefixOf(x.c.proto) }
