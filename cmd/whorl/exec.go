package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
)

type execCommand struct {
	Listen     string        `arg:"" help:"Where to listen."`
	Command    []string      `arg:"" passthrough:"" help:"The program for each connection, with its arguments, behind --."`
	PTY        bool          `name:"pty" help:"Give each program a terminal of its own, with job control."`
	Size       string        `default:"80x24" placeholder:"COLSxROWS" help:"With --pty: the size of the window, which the other end cannot tell (${default})."`
	Children   int           `default:"100" placeholder:"N" help:"How many programs may run at a time, on all loops together; clients beyond that are reset (${default})."`
	Stderr     string        `enum:"log,client,pass,drop" default:"log" placeholder:"WHERE" help:"What becomes of the error output: log (by lines), client (mixed into the output), pass (ours) or drop (${default})."`
	Env        []string      `sep:"none" placeholder:"NAME=VALUE" help:"A variable for the program, beside those of this process and of the connection. May be repeated."`
	Dir        string        `placeholder:"PATH" help:"The working directory of the program."`
	User       string        `placeholder:"NAME" help:"As whom the program runs, with the groups of that user. It needs root."`
	Group      string        `placeholder:"NAME" help:"With which group it runs. It needs root."`
	Idle       time.Duration `default:"1h" placeholder:"DURATION" help:"Reset a connection on which nothing passes for so long; 0 means never (${default})."`
	HalfClosed time.Duration `default:"5m" placeholder:"DURATION" help:"The same when one direction has ended, if it is shorter; 0 means that --idle goes on (${default})."`
	Linger     time.Duration `default:"5s" placeholder:"DURATION" help:"How long a program may run when both directions have ended, before it gets SIGTERM (${default})."`
	KillAfter  time.Duration `default:"5s" placeholder:"DURATION" help:"How long it may take to end after SIGTERM, before it gets SIGKILL (${default})."`
	handoverFlags
}

// Help is shown by --help.
func (*execCommand) Help() string {
	return `COMMAND is started for each connection to LISTEN, as inetd does it: what the client sends is its standard input, and its standard
output is sent to the client. A client that does not read makes COMMAND wait, and a COMMAND that does not read the client.

Whoever can connect can run COMMAND. Without an interface= in the description these are the users of this machine. A shell is for nobody else,
unless LISTEN is a UNIX socket whose mode says so, or tls: with clientCAs=.

When the client has ended its direction, the input of COMMAND ends; what it still writes is sent. When COMMAND has ended its output, the client sees
the end. When both have, COMMAND has --linger to end by itself. Then its process group gets SIGTERM, and after --kill-after SIGKILL. A client
that breaks off ends COMMAND at once in this way. Something that COMMAND leaves behind, and that holds its output, may go on to write; if it is silent for --linger, the
client is closed. A client of TLS gets its program when the handshake is over.

With --pty COMMAND has a terminal, so that shells have job control and editors work: connect with "whorl connect --raw", or socat with a
terminal in raw mode. The end of the client's direction is typed as Ctrl-D, and the end of the connection hangs up (SIGHUP). The size of the
window is --size; the other end can set another by stty. TERM is ours, or xterm if we have none.

COMMAND has the environment of whorl, and, as with UCSPI: PROTO (TCP or UNIX); TCPREMOTEIP, TCPREMOTEPORT, TCPLOCALIP and TCPLOCALPORT; or
UNIXLOCALPATH and, where the system tells, UNIXREMOTEEUID, UNIXREMOTEEGID and UNIXREMOTEPID; with TLS also SSL_PROTOCOL, SSL_CIPHER, SSL_TLS_SNI and
SSL_CLIENT_S_DN. With --user, HOME, USER and LOGNAME are those of that user. It has no other
descriptors than 0, 1 and 2. Small answers leave at once; nagle=yes in LISTEN has them wait.

Examples:

    whorl exec tcp:7000 -- date
    whorl exec tcp:7000:maxperpeer=2 --children=20 -- /usr/bin/rsync --server --daemon .
    whorl exec unix:/run/user/1000/shell.sock:mode=600 --pty -- bash
    whorl connect --raw unix:/run/user/1000/shell.sock
    whorl exec tls:7443:/etc/ssl/site.pem:clientCAs=/etc/ssl/ops.pem --pty --user=ops -- bash -l
    whorl exec systemd:name=finger --user=nobody -- /usr/sbin/fingerd`
}

// Run serves the program.
func (c *execCommand) Run(g *globals, t terminal, line *kong.Context) error {
	known := g.schemes(t, kernel.StreamOptions{})
	if _, err := known.Server(c.Listen); errors.Is(err, endpoint.ErrKind) {
		return usage(fmt.Errorf("%s takes datagrams, and a program needs a connection", c.Listen))
	}
	if !c.PTY {
		if err := misplacedFlag(line, "it needs --pty", "size"); err != nil {
			return err
		}
	}
	x, err := c.service()
	if err != nil {
		return err
	}
	x.Log, _ = g.logger(t)
	x.Access = g.visits(t, known, c.Listen)
	return g.serve(t, known, c.handoverFlags, []string{c.Listen}, x, x.Access, nil)
}

// service checks the flags, and looks the program and the user up.
func (c *execCommand) service() (*Execer, error) {
	command, err := behindDashes("exec", c.Command)
	if err != nil {
		return nil, err
	}
	for _, d := range []time.Duration{c.Idle, c.HalfClosed, c.Linger, c.KillAfter} {
		if d < 0 {
			return nil, usage(fmt.Errorf("--idle=%v, --half-closed=%v, --linger=%v, --kill-after=%v: must not be negative", c.Idle, c.HalfClosed, c.Linger, c.KillAfter))
		}
	}
	x := &Execer{Command: command, Dir: c.Dir, PTY: c.PTY, Children: int64(c.Children), Stderr: c.Stderr,
		Idle: limit(c.Idle), HalfClosed: limit(c.HalfClosed), Linger: c.Linger, KillAfter: c.KillAfter}
	if c.KillAfter == 0 {
		x.KillAfter = -1
	}
	if c.Linger == 0 {
		x.Linger = time.Nanosecond
	}
	switch {
	case len(command) == 0:
		return nil, usage(errors.New("a program is missing: whorl exec LISTEN -- COMMAND"))
	case c.Children < 1:
		return nil, usage(fmt.Errorf("--children=%d: must be 1 or more", c.Children))
	}
	if err := directory(c.Dir); err != nil {
		return nil, err
	}
	if err := findProgram(command[0], c.Dir); err != nil {
		return nil, err
	}
	for _, v := range c.Env {
		if strings.IndexByte(v, '=') < 1 || strings.Contains(v, "\x00") {
			return nil, usage(fmt.Errorf("--env=%s: must be NAME=VALUE", v))
		}
	}
	if x.Size, err = windowSize(c.Size); err != nil {
		return nil, usage(fmt.Errorf("--size=%s: %w", c.Size, err))
	}
	if x.Credential, err = credentialOf(c.User, c.Group); err != nil {
		return nil, err
	}
	env := withoutConnection(os.Environ())
	if dir, err := filepath.Abs(c.Dir); c.Dir != "" && err == nil {
		env = replaced(env, []string{"PWD=" + dir})
	}
	if c.User != "" {
		more, err := userEnv(c.User)
		if err != nil {
			return nil, fmt.Errorf("--user: %w", err)
		}
		env = replaced(env, more)
	}
	x.Environ = replaced(env, c.Env)
	if c.PTY && !slices.ContainsFunc(x.Environ, func(v string) bool { return strings.HasPrefix(v, "TERM=") }) {
		x.Environ = append(x.Environ, "TERM=xterm")
	}
	return x, nil
}

// directory checks the argument of --dir before anybody connects. Otherwise every client would be reset.
func directory(path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		return fmt.Errorf("--dir=%s: %w", path, bare(err))
	}
	return nil
}

// findProgram looks the program up before anybody connects, as a client's start does: a relative path is seen from --dir.
func findProgram(name, dir string) error {
	if dir != "" && strings.Contains(name, "/") && !strings.HasPrefix(name, "/") {
		name = dir + "/" + name
	}
	_, err := exec.LookPath(name)
	return err
}

// behindDashes is the command line that whorl NAME was given, without the -- before it, which the parser leaves there. The parser takes a flag that it
// does not know for the program, which must not be started then: behind it are the others.
func behindDashes(name string, command []string) ([]string, error) {
	switch {
	case len(command) == 0:
	case command[0] == "--":
		return command[1:], nil
	case len(command[0]) > 1 && command[0][0] == '-':
		flag, _, _ := strings.Cut(command[0], "=")
		return nil, usage(fmt.Errorf("unknown flag %s; if it is a program, say -- before it (try: whorl %s --help)", flag, name))
	}
	return command, nil
}

// windowSize reads a size such as 80x24.
func windowSize(text string) (s process.Size, err error) {
	columns, rows, _ := strings.Cut(text, "x")
	c, err := strconv.ParseUint(columns, 10, 16)
	r, err2 := strconv.ParseUint(rows, 10, 16)
	if err != nil || err2 != nil || c == 0 || r == 0 {
		return s, errors.New("a size is written like 80x24, columns and rows")
	}
	return process.Size{Columns: uint16(c), Rows: uint16(r)}, nil
}

// credentialOf is as whom the program runs: nil as this process.
func credentialOf(name, group string) (*kernel.Credential, error) {
	if name == "" && group == "" {
		return nil, nil
	}
	if os.Geteuid() != 0 {
		return nil, usage(errors.New("--user and --group need root"))
	}
	cr := &kernel.Credential{UID: -1, GID: -1}
	if name != "" {
		var err error
		if cr, err = process.LookupCredential(name); err != nil {
			return nil, fmt.Errorf("--user: %w", err)
		}
	}
	if group == "" {
		return cr, nil
	}
	id := group
	if g, err := user.LookupGroup(group); err == nil {
		id = g.Gid
	}
	gid, err := strconv.ParseUint(id, 10, 31)
	if err != nil {
		return nil, fmt.Errorf("--group: no group %q", group)
	}
	cr.GID = int(gid)
	return cr, nil
}
