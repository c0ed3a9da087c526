package std

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
)

// ExecClient is exec:program, for a connection to a program that Connect starts (EP-16): what is written is its standard input, and its
// standard output is received. The transport is a [*process.Conn], which says how it ends: after exit status 0 by io.EOF, otherwise by the process.Status. Both addresses
// are those of a process, with Program as the name. No shell is between; exec:/bin/sh:arg=-c:arg=SCRIPT has one.
type ExecClient struct {
	_ struct{} `help:"Starts a program, whose standard input and output are the connection."`

	// Program is a path, or a name that is looked for in PATH.
	Program string `ep:"program,0" help:"path of the program, or its name"`
	// Args are its arguments, without its own name.
	Args []string `ep:"arg" help:"an argument of the program; say it once for each, in order"`
	// Env are variables, as NAME=VALUE, beside those of Environ, or instead of them.
	Env []string `ep:"env" help:"a variable for the program, NAME=VALUE, beside those that it inherits; say it once for each"`
	// NoInherit gives the program no variables but Env.
	NoInherit bool `ep:"!inherit" help:"give the program the environment that is here; without it, yes"`
	// Dir is the working directory. Empty: that of this process.
	Dir string `ep:"dir" help:"its working directory; without it, the one here"`
	// Stderr is what becomes of the error output: log, its lines in the log; pass, that of this process; drop; or output, into the output. Empty: log.
	Stderr string `ep:"stderr" help:"what becomes of its error output: log (by lines), pass (it is ours), drop or output; without it, log"`
	// PTY gives the program a terminal of its own, which has both outputs.
	PTY bool `ep:"pty" help:"give it a terminal of its own; without it, no"`
	// Linger and Grace are those of [process.ConnConfig].
	Linger time.Duration `ep:"linger" help:"how long it may run when both directions have ended; without it, 5s"`
	Grace  time.Duration `ep:"grace" help:"how long it may take to end after SIGTERM, before it is killed; without it, 5s"`
	// Environ is the environment that is inherited. Nil: that of this process. It is no argument.
	Environ []string
	// Credential is as whom the program runs. Nil: as this process. It is no argument.
	Credential *kernel.Credential
	// Size is that of the terminal's window. The zero value: 80 by 24. It is no argument.
	Size process.Size
	// Logger gets the lines of the error output. Nil: that of the reactor. It is no argument.
	Logger *slog.Logger
	// StreamConfig configures the buffers of the connection. It is no argument.
	StreamConfig reactor.StreamConfig
}

// Check fails if a value cannot be.
func (e *ExecClient) Check() error {
	for _, x := range []struct{ argument, value string }{{"program", e.Program}, {"dir", e.Dir}} {
		if strings.Contains(x.value, "\x00") {
			return badArgument("exec", x.argument, x.value, "%q has a NUL byte", x.value)
		}
	}
	if e.Program == "" {
		return badArgument("exec", "program", "", "it is empty")
	}
	if _, ok := e.stderr(); !ok {
		return badArgument("exec", "stderr", e.Stderr, "%q is not log, pass, drop or output", e.Stderr)
	}
	for _, a := range e.Args {
		if strings.Contains(a, "\x00") {
			return badArgument("exec", "arg", a, "%q has a NUL byte", a)
		}
	}
	for _, v := range e.Env {
		if i := strings.IndexByte(v, '='); i < 1 || strings.Contains(v, "\x00") {
			return badArgument("exec", "env", v, "%q is not NAME=VALUE", v)
		}
	}
	return nil
}

// stderr is the program's descriptor 2. The zero File is a pipe for the log.
func (e *ExecClient) stderr() (f process.File, ok bool) {
	switch e.Stderr {
	case "", "log":
		return f, true
	case "pass":
		return process.Given(2), true
	case "drop":
		return process.Null(), true
	case "output":
		return process.Same(1), true
	}
	return f, false
}

// command is the program. A terminal is the caller's until it is started.
func (e *ExecClient) command() (*process.Command, error) {
	c := process.NewCommand(e.Program, e.Args...)
	c.Dir, c.Credential, c.StreamConfig, c.Group = e.Dir, e.Credential, e.StreamConfig, true
	switch {
	case e.NoInherit:
	case e.Environ == nil:
		c.Env = os.Environ()
	default:
		c.Env = slices.Clone(e.Environ)
	}
	tellDir(c.Env, e.Dir)
	for _, v := range e.Env {
		name, _, _ := strings.Cut(v, "=")
		c.Env = slices.DeleteFunc(c.Env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		c.Env = append(c.Env, v)
	}
	if !e.PTY {
		return c, nil
	}
	size := e.Size
	if size == (process.Size{}) {
		size = process.Size{Columns: 80, Rows: 24}
	}
	var err error
	c.Terminal, err = process.OpenPTY(size)
	return c, err
}

// addr is what factories and logs see.
func (e *ExecClient) addr() kernel.Addr { return kernel.Addr{Net: kernel.Process, Name: e.Program} }

// Connect starts the program in the next turn; see [endpoint.Client].
func (e *ExecClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	state := connectGoing
	r.Tell(func(stopped error) {
		if stopped != nil {
			done(nil, &reactor.OpError{Op: "dial", Remote: e.addr(), Err: stopped})
			return
		}
		p, err := e.start(r, f, func() bool { return state == connectCancelled })
		if state == connectCancelled {
			p, err = nil, reactor.ErrCancelled
		}
		state = connectOver
		if err != nil {
			err = &reactor.OpError{Op: "dial", Remote: e.addr(), Err: err}
		}
		done(p, err)
	})
	return func() {
		if state == connectGoing {
			state = connectCancelled
		}
	}
}

// start starts the program, unless that was cancelled. The factory is in use until the connection is lost.
func (e *ExecClient) start(r *reactor.Reactor, f reactor.Factory, cancelled func() bool) (p reactor.Protocol, err error) {
	if cancelled() {
		return nil, nil
	}
	if err = e.Check(); err != nil {
		return nil, err
	}
	release, err := r.UseFactory(f)
	if err != nil {
		return nil, err
	}
	stop := func() { _ = release() } // a panic was reported; nobody is left to hear an error
	if panicked := r.Guard(f, func() { p = f.BuildProtocol(e.addr()) }); panicked != nil {
		err = panicked
	} else if p == nil {
		err = reactor.ErrNoProtocol
	}
	var c *process.Conn
	if err == nil {
		c, err = e.spawn(r, &execProtocol{p, stop})
	}
	if err != nil {
		stop()
		return nil, err
	}
	if cancelled() { // inside ConnectionMade
		_ = c.Close()
	}
	return p, nil
}

// tellDir makes PWD in env say dir, as package os/exec does: programs such as make believe it.
func tellDir(env []string, dir string) {
	whole, err := filepath.Abs(dir)
	if dir == "" || err != nil {
		return
	}
	for i, v := range env {
		if strings.HasPrefix(v, "PWD=") {
			env[i] = "PWD=" + whole
		}
	}
}

func (e *ExecClient) spawn(r *reactor.Reactor, p reactor.Protocol) (*process.Conn, error) {
	cmd, err := e.command()
	if err != nil {
		return nil, err
	}
	if cmd.Terminal != nil {
		defer cmd.Terminal.Close() // the slave, and if it was not attached all of it
	}
	errs, _ := e.stderr()
	c, err := process.Connect(r, cmd, p, &process.ConnConfig{ErrorOutput: errs, Logger: e.Logger, Linger: e.Linger, Grace: e.Grace})
	if oe, ok := err.(*reactor.OpError); ok {
		err = oe.Err // the place has an OpError of its own
	}
	return c, err
}

// execProtocol tells of the end of the connection.
type execProtocol struct {
	reactor.Protocol
	ended func()
}

// Unwrap is the application's protocol.
func (p *execProtocol) Unwrap() reactor.Protocol { return p.Protocol }

// LogPrefix keeps the name of the application's protocol in the log.
func (p *execProtocol) LogPrefix() string { return reactor.LogPrefixOf(p.Protocol) }

// ConnectionLost tells the protocol, and then the place.
func (p *execProtocol) ConnectionLost(err error) {
	defer p.ended() // also after a panic
	p.Protocol.ConnectionLost(err)
}

// String is the description.
func (e *ExecClient) String() string { return endpoint.Describe("exec", e) }
