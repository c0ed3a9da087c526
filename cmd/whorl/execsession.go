package main

import (
	"crypto/tls"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// Execer is the factory that starts a program for each connection, and joins the two.
type Execer struct {
	Command []string
	Dir     string
	// Environ is the environment besides what tells of the connection.
	Environ    []string
	Credential *kernel.Credential
	PTY        bool
	Size       process.Size
	Stderr     string // log, client, pass or drop
	// Children is how many programs may run at a time.
	Children int64
	// Idle and HalfClosed are those of reactor.JoinConfig, Linger and KillAfter those of process.ConnConfig, where KillAfter is Grace.
	Idle, HalfClosed, Linger, KillAfter time.Duration

	Log    *slog.Logger
	Access *accessLog // nil: nothing is written

	running atomic.Int64
	refused atomic.Uint64
}

// refusals is the limit of what is logged of clients that got no program: they can be as many as they like. Each loop has one.
type refusals struct{ reactor.LogLimit }

// linesPerSecond is how many lines of error output of one program are logged in a second.
const linesPerSecond = 100

// AnyLoop is true: each session is on one loop, and what they share is atomic.
func (f *Execer) AnyLoop() bool { return true }

// BuildProtocol makes the client's side of a session.
func (f *Execer) BuildProtocol(kernel.Addr) reactor.Protocol { return &execClient{f: f} }

// take takes the place of a program, unless all are taken.
func (f *Execer) take() bool {
	if f.running.Add(1) <= f.Children {
		return true
	}
	f.running.Add(-1)
	return false
}

// execClient is the protocol of a client until it is joined with its program.
type execClient struct {
	reactor.Base
	f      *Execer
	visit  visit
	joined bool
	failed error // why the two were not joined
	lines  reactor.LogLimit
	pid    int // of the program
}

// ConnectionMade starts the program, unless there is a handshake first.
func (s *execClient) ConnectionMade(t reactor.Transport) {
	s.Base.ConnectionMade(t)
	s.visit = begin(t)
	s.T.PauseProducing()
	if _, ok := reactor.As[*tlsio.Conn](t); !ok {
		s.start()
	}
}

// HandshakeCompleted starts the program: the client is verified.
func (s *execClient) HandshakeCompleted(tls.ConnectionState) { s.start() }

// DataReceived gets nothing: the connection is paused, and then joined.
func (s *execClient) DataReceived([]byte) {}

// ConnectionLost writes the line of a client that had no program.
func (s *execClient) ConnectionLost(err error) {
	if !s.joined {
		if s.failed != nil {
			err = s.failed
		}
		s.f.Access.ended(s.visit, s.backend(), err)
	}
}

// start starts the program and joins it. A client for whom there is none is reset.
func (s *execClient) start() {
	f := s.f
	if !f.take() {
		f.refused.Add(1)
		s.refuse("too many programs run: a client is refused", errTooMany,
			slog.Int64("children", f.Children), slog.Uint64("refused", f.refused.Load()))
		return
	}
	cmd, err := s.command()
	if err == nil {
		o := &process.ConnConfig{ErrorOutput: f.errorOutput(), Lines: s.line, Linger: f.Linger, Grace: f.KillAfter, Exited: s.exited}
		_, err = process.Connect(s.T.Reactor(), cmd, &execProgram{s: s}, o)
		if cmd.Terminal != nil {
			cmd.Terminal.Close() // what the start has not taken
		}
	}
	if err != nil {
		f.running.Add(-1)
		s.refuse("cannot start the program", err)
	}
}

var errTooMany = kernel.Sentinel("too many programs run")

// refuse resets the client.
func (s *execClient) refuse(msg string, err error, attrs ...slog.Attr) {
	s.failed = err
	r := s.T.Reactor()
	attrs = append([]slog.Attr{slog.String("program", s.f.Command[0]), slog.String("peer", s.T.Remote().String())}, attrs...)
	if err != errTooMany {
		attrs = append(attrs, slog.Any("err", err))
	}
	reactor.Shared(r, func() *refusals { return new(refusals) }).Log(r, s.f.Log, slog.LevelWarn, msg, attrs...)
	s.T.Abort()
}

// command is the program for this client.
func (s *execClient) command() (*process.Command, error) {
	f := s.f
	cmd := process.NewCommand(f.Command[0], f.Command[1:]...)
	cmd.Dir, cmd.Credential, cmd.Group = f.Dir, f.Credential, true
	cmd.Env = slices.Concat(f.Environ, connectionEnv(s.T))
	if !f.PTY {
		return cmd, nil
	}
	var err error
	cmd.Terminal, err = process.OpenPTY(f.Size)
	return cmd, err
}

// errorOutput is the program's descriptor 2. The zero File is the log.
func (f *Execer) errorOutput() (file process.File) {
	switch f.Stderr {
	case "client":
		return process.Same(1)
	case "pass":
		return process.Given(2)
	case "drop":
		return process.Null()
	}
	return file
}

// line logs a line of error output.
func (s *execClient) line(p []byte) {
	s.lines.PerSecond = linesPerSecond
	s.lines.Log(s.T.Reactor(), s.f.Log, slog.LevelInfo, "error output", slog.Int("pid", s.pid),
		slog.String("peer", s.T.Remote().String()), slog.String("line", strings.ToValidUTF8(string(p), "?")))
}

// exited gives the place back.
func (s *execClient) exited(st process.Status) {
	s.f.running.Add(-1)
	s.f.Log.Debug("a program has ended", slog.Int("pid", s.pid), slog.String("peer", s.T.Remote().String()), slog.String("status", st.Error()),
		slog.Duration("user", st.Usage.User), slog.Duration("system", st.Usage.System))
}

// backend is the program, for the access log.
func (s *execClient) backend() string { return s.f.Command[0] }

// ended writes the line of the client.
func (s *execClient) ended(res reactor.JoinResult) { s.f.Access.ended(s.visit, s.backend(), res.Err) }

// execProgram is the protocol of the program until it is joined.
type execProgram struct {
	reactor.Base
	s *execClient
}

// ConnectionMade joins the two sides.
func (p *execProgram) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	s := p.s
	if c, ok := reactor.As[*process.Conn](t); ok {
		s.pid = c.Child().Pid()
	}
	if _, err := reactor.Join(s.T, t, &reactor.JoinConfig{Idle: s.f.Idle, HalfClosed: s.f.HalfClosed, Done: s.ended}); err != nil {
		s.failed = err // the client is closing; Join has ended this one
		return
	}
	s.joined = true
}

// DataReceived gets nothing: the side is joined.
func (p *execProgram) DataReceived([]byte) {}
