package std

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// UNIXServer is unix:address[:mode[:backlog[:lockfile]]] for listening (EP-14, GRAM-12). With
// its lock file, which it has unless NoLock is set, it removes a socket file that a dead process
// has left. [kernel.UNIXOptions] says what the options are.
type UNIXServer struct {
	_ struct{} `help:"Listens on a UNIX socket, for programs of this host."`

	// Path is the path of the socket's file, or on Linux an abstract name after a '@'.
	Path string `ep:"address,0" help:"path of the socket's file, or an abstract name after a '@'"`
	// Mode has the permissions of the file. Zero: 0666.
	Mode fs.FileMode `ep:"mode,1,optional" help:"permissions of the file, an octal number: who may write may connect; without it, 666, so everybody may"`
	// Backlog is how many connections may wait to be accepted. Zero or negative: as many as the
	// system allows.
	Backlog int `ep:"backlog,2,optional" help:"connections that may wait; without it, as many as the system allows"`
	// NoLock leaves the lock file out. Abstract names have none.
	NoLock bool `ep:"!lockfile,3,optional" help:"a lock file at the path and .lock, so that a file left by a dead process is removed; without it, yes"`
	// Owner and Group are those of the file, names or numbers. Empty: the process's.
	Owner string `ep:"owner" help:"owner of the file, a name or a number; without it, the process's"`
	Group string `ep:"group" help:"group of the file, a name or a number; without it, the process's"`
	// SendBuffer is that of [kernel.StreamOptions].
	SendBuffer int `ep:"sndbuf" help:"bytes that the system buffers for sending; without it, the system decides"`
	// Descriptors is that of [kernel.StreamOptions].
	Descriptors bool `ep:"descriptors" help:"let protocols pass descriptors with their bytes; without it, no"`
	// PortLimits are MaxConnections and AcceptRate. Peers are not counted: all are this host.
	reactor.PortLimits
	// StreamConfig configures the buffers of the connections. It is no argument.
	reactor.StreamConfig
}

// config is how to listen.
func (e *UNIXServer) config() *reactor.ListenConfig {
	cfg := &reactor.ListenConfig{StreamConfig: e.StreamConfig, PortLimits: e.PortLimits}
	cfg.Backlog, cfg.SendBuffer, cfg.Descriptors = e.Backlog, e.SendBuffer, e.Descriptors
	cfg.UNIX = fileOptions(e.Path, e.Mode, e.Owner, e.Group, e.NoLock)
	return cfg
}

// Check fails if Path is no name of a socket, or if an option has a value that it cannot have.
func (e *UNIXServer) Check() error {
	a := kernel.UNIXAddr(e.Path)
	if err := checkPath("address", kernel.OpListen, a); err != nil {
		return err
	}
	cfg := e.config()
	if err := checkFile("unix", a, cfg.UNIX); err != nil {
		return err
	}
	return unixArgument(kernel.CheckListen(a, &cfg.ListenOptions))
}

// fileOptions are the options of the file at path. An abstract name has no lock file.
func fileOptions(path string, mode fs.FileMode, owner, group string, noLock bool) kernel.UNIXOptions {
	lock := !noLock && !kernel.UNIXAddr(path).IsAbstract()
	return kernel.UNIXOptions{Mode: mode, Owner: owner, Group: group, Lock: lock}
}

// checkFile returns an *endpoint.ArgumentError if o asks something of a file, and a is an abstract name.
func checkFile(scheme string, a kernel.Addr, o kernel.UNIXOptions) error {
	if !a.IsAbstract() {
		return nil
	}
	for _, a := range []endpoint.Argument{{Name: "mode", Value: octal(o.Mode)}, {Name: "owner", Value: o.Owner}, {Name: "group", Value: o.Group}} {
		if a.Value != "" {
			return badArgument(scheme, a.Name, a.Value, "%q: an abstract name has no file", a.Value)
		}
	}
	return nil
}

// octal is a mode as a description has it, "" without one.
func octal(mode fs.FileMode) string {
	if mode == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(mode), 8)
}

// Listen opens the port; see [endpoint.Server].
func (e *UNIXServer) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	a := kernel.UNIXAddr(e.Path)
	if err := e.Check(); err != nil {
		return nil, &reactor.OpError{Op: "listen", Local: a, Err: err}
	}
	return listening(on.ListenAt(a, f, e.config()))
}

// String is the description.
func (e *UNIXServer) String() string { return endpoint.Describe("unix", e) }

// UNIXClient is unix:path for connecting, with timeout=, lockfile= and the others by keyword
// (EP-14, GRAM-19).
type UNIXClient struct {
	_ struct{} `help:"Connects to a UNIX socket of this host."`

	// Path is the path of the socket's file, or on Linux an abstract name after a '@'.
	Path string `ep:"path,0" help:"path of the socket's file, or an abstract name after a '@'"`
	// Timeout is how long to wait for room in the queue of the server. Zero: 30 s; negative: no
	// limit.
	Timeout time.Duration `ep:"timeout" help:"for room in the queue of a busy server; without it, 30 s; negative: no limit"`
	// CheckLock connects only if a live process holds the path's lock file.
	CheckLock bool `ep:"lockfile" help:"connect only if a live process holds the path's lock file; without it, no"`
	// Bind is the path of our own socket, which must not exist. Empty: it has no name.
	Bind string `ep:"bindAddress" help:"path of our own socket; without it, it has no name"`
	// SendBuffer is that of [kernel.StreamOptions].
	SendBuffer int `ep:"sndbuf" help:"bytes that the system buffers for sending; without it, the system decides"`
	// Descriptors is that of [kernel.StreamOptions].
	Descriptors bool `ep:"descriptors" help:"let protocols pass descriptors with their bytes; without it, no"`
	// StreamConfig configures the buffers of the connection. It is no argument.
	reactor.StreamConfig
}

// dial is where the connection goes, and how.
func (e *UNIXClient) dial() (kernel.Addr, *reactor.DialConfig) {
	cfg := &reactor.DialConfig{StreamConfig: e.StreamConfig, Timeout: e.Timeout}
	cfg.CheckLock, cfg.SendBuffer, cfg.Descriptors = e.CheckLock, e.SendBuffer, e.Descriptors
	if e.Bind != "" {
		cfg.Bind = kernel.UNIXAddr(e.Bind)
	}
	return kernel.UNIXAddr(e.Path), cfg
}

// Check fails if Path or Bind is no name of a socket, or if an option has a value that it cannot
// have.
func (e *UNIXClient) Check() error {
	a, cfg := e.dial()
	if err := checkPath("path", kernel.OpConnect, a); err != nil {
		return err
	}
	if e.Bind != "" {
		if err := checkPath("bindAddress", kernel.OpBind, cfg.Bind); err != nil {
			return err
		}
	}
	return unixArgument(kernel.CheckDial(a, &cfg.DialOptions))
}

// Connect starts connecting; see [endpoint.Client] and [reactor.Reactor.Dial].
func (e *UNIXClient) Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func()) {
	a, cfg := e.dial()
	if err := e.Check(); err != nil {
		return refuse(r, a, cfg, done, err)
	}
	return start(r, a, cfg, f, done)
}

// String is the description.
func (e *UNIXClient) String() string { return endpoint.Describe("unix", e) }

// checkPath returns an *endpoint.ArgumentError if a cannot be used for op.
func checkPath(argument, op string, a kernel.Addr) error {
	if e, ok := errors.AsType[*kernel.AddrError](kernel.CheckAddr(op, a)); ok {
		return &endpoint.ArgumentError{Scheme: "unix", Argument: argument, Value: a.Name, Err: fmt.Errorf("%s: %s", strconv.Quote(a.Name), e.Reason)}
	}
	return nil
}

// unixArgument makes an *endpoint.ArgumentError of what kernel.CheckListen or CheckDial says.
func unixArgument(err error) error {
	e, ok := errors.AsType[*kernel.OptionError](err)
	if !ok {
		return err
	}
	argument := map[string]string{"Mode": "mode", "SendBuffer": "sndbuf", "CheckLock": "lockfile"}[e.Option]
	value := fmt.Sprint(e.Value)
	return &endpoint.ArgumentError{Scheme: "unix", Argument: argument, Value: value, Err: fmt.Errorf("%s: %w", value, e.Err)}
}
