package std

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// UNIXGramServer is unixgram:path[:mode[:lockfile]] for receiving datagrams of this host (EP-28). With its lock file, which
// it has unless NoLock is set, it removes a socket file that a dead process has left. [kernel.UNIXOptions] says
// what the options are.
type UNIXGramServer struct {
	_ struct{} `help:"Receives datagrams at a UNIX socket, from programs of this host."`

	// Path is the path of the socket's file, or on Linux an abstract name after a '@'.
	Path string `ep:"path,0" help:"path of the socket's file, or an abstract name after a '@'"`
	// Mode has the permissions of the file. Zero: 0666.
	Mode fs.FileMode `ep:"mode,1,optional" help:"permissions of the file, an octal number: who may write may send; without it, 666, so everybody may"`
	// NoLock leaves the lock file out. Abstract names have none.
	NoLock bool `ep:"!lockfile,2,optional" help:"a lock file at the path and .lock, so that a file left by a dead process is removed; without it, yes"`
	// Owner and Group are those of the file, names or numbers. Empty: the process's.
	Owner string `ep:"owner" help:"owner of the file, a name or a number; without it, the process's"`
	Group string `ep:"group" help:"group of the file, a name or a number; without it, the process's"`
	// SendBuffer and RecvBuffer are those of [kernel.PacketOptions].
	SendBuffer int `ep:"sndbuf" help:"bytes that the system buffers for sending; without it, the system decides"`
	RecvBuffer int `ep:"rcvbuf" help:"bytes that the system buffers of what comes; without it, 4 MiB"`
	// PacketConfig has the limits of the port. What has an argument here, and Bind, must be zero in it. It is no argument.
	PacketConfig reactor.PacketConfig
}

// config is how to open the socket.
func (e *UNIXGramServer) config() *reactor.PacketConfig {
	cfg := e.PacketConfig
	cfg.SendBuffer, cfg.RecvBuffer = e.SendBuffer, e.RecvBuffer
	cfg.UNIX = fileOptions(e.Path, e.Mode, e.Owner, e.Group, e.NoLock)
	return &cfg
}

// Check fails if Path is no name of a socket, or if an option has a value that it cannot have.
func (e *UNIXGramServer) Check() error {
	a := kernel.UNIXDatagramAddr(e.Path)
	if err := checkGramPath("path", a); err != nil {
		return err
	}
	cfg := e.config()
	if err := checkFile("unixgram", a, cfg.UNIX); err != nil {
		return err
	}
	return checkPacketOptions("unixgram", a, &cfg.PacketOptions)
}

// ListenPacket opens the port; see [endpoint.PacketServer].
func (e *UNIXGramServer) ListenPacket(r *reactor.Reactor, p reactor.PacketProtocol) (*reactor.PacketPort, error) {
	a := kernel.UNIXDatagramAddr(e.Path)
	if err := e.Check(); err != nil {
		return nil, &reactor.OpError{Op: "listen", Local: a, Err: err}
	}
	return r.ListenPacket(a, p, e.config())
}

// String is the description.
func (e *UNIXGramServer) String() string { return endpoint.Describe("unixgram", e) }

// UNIXGramClient is unixgram:path for sending datagrams to a socket of this host, with bindAddress= and the others by
// keyword (EP-28). Without bindAddress nobody can answer (UNIXD-8).
type UNIXGramClient struct {
	_ struct{} `help:"Sends datagrams to a UNIX socket of this host. With bindAddress= it gets the answers."`

	// Path is the path of the socket's file, or on Linux an abstract name after a '@'.
	Path string `ep:"path,0" help:"path of the socket's file, or an abstract name after a '@'"`
	// Bind is the path of our own socket, which must not exist, or an abstract name. Empty: it has no name.
	Bind string `ep:"bindAddress" help:"path of our own socket, or an abstract name after a '@', for answers; without it, it has no name and gets none"`
	// Mode has the permissions of the file of Bind. Zero: 0666.
	Mode fs.FileMode `ep:"mode" help:"permissions of our own file, an octal number; without it, 666"`
	// SendBuffer and RecvBuffer are those of [kernel.PacketOptions].
	SendBuffer int `ep:"sndbuf" help:"bytes that the system buffers for sending; without it, the system decides"`
	RecvBuffer int `ep:"rcvbuf" help:"bytes that the system buffers of what comes; without it, 4 MiB"`
	// PacketConfig has the limits of the port. What has an argument here must be zero in it. It is no argument.
	PacketConfig reactor.PacketConfig
}

func (e *UNIXGramClient) config() *reactor.PacketConfig {
	cfg := e.PacketConfig
	cfg.SendBuffer, cfg.RecvBuffer = e.SendBuffer, e.RecvBuffer
	cfg.UNIX.Mode = e.Mode
	if e.Bind != "" {
		cfg.Bind = kernel.UNIXDatagramAddr(e.Bind)
	}
	return &cfg
}

// Check fails if Path or Bind is no name of a socket, or if an option has a value that it cannot have.
func (e *UNIXGramClient) Check() error {
	if err := checkGramPath("path", kernel.UNIXDatagramAddr(e.Path)); err != nil {
		return err
	}
	bind := kernel.UNIXDatagramAddr(e.Bind)
	if e.Bind != "" {
		if err := checkGramPath("bindAddress", bind); err != nil {
			return err
		}
	}
	if e.Mode != 0 && (e.Bind == "" || bind.IsAbstract()) {
		return badArgument("unixgram", "mode", octal(e.Mode), "%q: it is for the file of bindAddress=, and there is none", octal(e.Mode))
	}
	return checkPacketOptions("unixgram", bind, &e.config().PacketOptions)
}

// ConnectPacket opens a port; see [endpoint.PacketClient].
func (e *UNIXGramClient) ConnectPacket(r *reactor.Reactor, p reactor.PacketProtocol, done func(*reactor.PacketPort, error)) (cancel func()) {
	to := kernel.UNIXDatagramAddr(e.Path)
	c := &packetConnecting{r: r, dest: to, done: done}
	if err := e.Check(); err != nil {
		return c.refuse(err)
	}
	return c.later(func() (*reactor.PacketPort, error) { return r.DialPacket(to, p, e.config()) })
}

// String is the description.
func (e *UNIXGramClient) String() string { return endpoint.Describe("unixgram", e) }

// checkGramPath returns an *endpoint.ArgumentError if a has no name that a socket can have.
func checkGramPath(argument string, a kernel.Addr) error {
	if e, ok := errors.AsType[*kernel.AddrError](kernel.CheckPacketAddr(kernel.OpConnect, a)); ok {
		return badArgument("unixgram", argument, a.Name, "%s: %s", strconv.Quote(a.Name), e.Reason)
	}
	return nil
}

// textOf is the value of an option as a description may have it.
func textOf(v any) string { return fmt.Sprint(v) }
