// Package whorl is the front door: [Serve] runs a server at places that are strings,
// [Connect] runs a client, and both end in order. Places of datagrams, such as "udp:5353", get their protocols
// from [Config.Datagrams].
//
//	type echo struct{ reactor.Base }
//
//	func (e *echo) DataReceived(p []byte) { e.T.Write(p) }
//
//	err := whorl.Serve(context.Background(), reactor.Each[echo](), "tcp:8007")
//
// Each call has kernels and reactors of its own. A single loop runs on the goroutine of
// the caller. Programs that want more than one factory on one reactor, or a loop that
// somebody else turns, use package reactor itself, as examples/echoloop does.
//
// # Loops: your handlers run on several cores
//
// [Serve] runs one loop a core, each on a goroutine of its own, if the factory says that this is safe, as one of
// [reactor.Each] does. Then the callbacks of one connection are still called one after the other, on one goroutine, but those
// of different connections run AT THE SAME TIME. What protocols share by variables of a package, or by a pointer, needs a
// lock, or a loop that owns it; docs/cores.md has patterns. Any other factory is served by one loop, as long as it is no
// [reactor.AnyLoop] that says yes, and Config.Loops does not say otherwise: so a factory with state, such as a chat room, has
// no races unless it asks for them. Config.Loops of 1 is one loop always. The log says at the start how many there are, and why.
//
// Places of datagrams, signals, Started and Hangup belong to the first loop. If a loop is lost, by a defect, the log says so, its
// connections are lost, and the others go on; if it is the first, the server drains and ends.
//
// # The end
//
// A server ends when the context ends, when a signal of [Config.Signals] arrives, or when
// [reactor.Reactor.Stop] is called in a callback. It then drains:
//
//  1. It accepts the connections that wait in the queues of its ports, 4096 of each at most and
//     within [Config.Limits], and stops listening. Every protocol that is a [Drainer] is told so once.
//  2. Connections may go on until they end by themselves, for [Config.Grace] at most.
//  3. Connections that are left are aborted, and the log says how many.
//
// Ports of datagrams stop in step 1: they receive no more, and what their protocols have written is sent as far as the system takes it
// before the end. They do not delay it.
//
// A signal while it drains skips the rest of the grace, and then nothing else is waited for
// either. After that the signals have their default action again. Two signals within 300 ms
// count as one, because a program often gets the same order twice: from the terminal, and from
// a parent that passes it on. So do the end of the context and a signal that comes with it, or up to 300 ms later: that of
// signal.NotifyContext is ended by the same signals. So signals are taken until 300 ms after the last one that counted,
// also if [Serve] or [Connect] has returned by then.
//
// # Other signals
//
// SIGHUP has a server look at the files of its certificates, as [tlsio.CheckAll] says, and its services reload, unless
// [Config.Hangup] does something else. SIGPIPE
// does not end a program whose log goes to a pipe that nobody can read any more: the write
// fails, and the program goes on. Neither is taken if Config.Signals is empty but not nil; one
// that stands in Config.Signals ends the program instead.
package whorl

import (
	"context"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
)

// Serve serves connections at all places with the protocols of f until it is told to end.
// It is [Config.Serve] of the zero Config.
func Serve(ctx context.Context, f reactor.Factory, places ...string) error {
	return Config{}.Serve(ctx, f, places...)
}

// Connect runs one connection to place with a protocol of f until the connection has
// ended. It is [Config.Connect] of the zero Config.
func Connect(ctx context.Context, f reactor.Factory, place string) error {
	return Config{}.Connect(ctx, f, place)
}

// Config is what a server or a client may be told. The zero value is the defaults.
type Config struct {
	// Kernel is the name of the kernel, one of native.Names. Empty: the best one that
	// works here.
	Kernel string
	// Loops is how many loops serve the connections of a server, each on a core: see "Loops" above. Zero: one a core if the
	// factory says that it may be called on several loops, as that of reactor.Each does, and otherwise 1. A client, and a
	// server with Handover, have one loop.
	Loops int
	// Logger hears where the server listens, how it ends, and what the reactor and the
	// places log. Nil: silence. Its Handler is called on another goroutine, by a
	// [logqueue.Queue], so it may block: the loop goes on, records beyond 1024 that wait are
	// dropped, and the log tells how many. At the end Serve and Connect wait a second at
	// most until it is written. A Handler that is one of a Queue already gets no other.
	Logger *slog.Logger
	// Grace is how long connections may go on when the server or client has been told to
	// end. Zero: 10 s; negative: no time at all.
	Grace time.Duration
	// Signals tell the server or client to end. Nil: [reactor.StopSignals]. Empty but not
	// nil: none are taken, SIGHUP and SIGPIPE included.
	Signals []os.Signal
	// Stream limits what each connection may buffer. It is for the places of this package;
	// if there are Schemes, their maker has to say it, and it must be zero here.
	Stream reactor.StreamConfig
	// Limits limit the connections of each place of this package that does not say otherwise
	// in its description: how many may be open, how many of one peer, and how many are
	// accepted in a second. The zero value: no limits. Like Stream it must be zero if there are
	// Schemes.
	Limits reactor.PortLimits
	// Activation are the sockets that a service manager has passed, for places such as
	// "systemd:name=http". [activation.Take] returns them. Nil: none. Like Stream it must be nil if
	// there are Schemes.
	Activation *activation.Sockets
	// Datagrams makes the protocol of each place of datagrams, such as "udp:5353" or "unixgram:/run/s"; it is called once
	// for each when the place is opened, on the loop's goroutine, and must not return nil. Nil: places are for
	// connections alone.
	Datagrams func() reactor.PacketProtocol
	// Packets are the options of each place of datagrams of this package that does not say otherwise in its description, and
	// limit what it may queue. Like Stream it must be the zero value if there are Schemes.
	Packets reactor.PacketConfig
	// Schemes are the types of places. Nil: those of package std, with Stream, Limits, Packets and
	// Logger.
	Schemes *endpoint.Schemes
	// Handover is the path of a UNIX socket at which a server hands its sockets over to its successor, another process
	// with the same Handover, as package handover says. A server that starts first takes the sockets of a predecessor that is
	// there, and opens its places on them; if there is none, it opens its places as usual. Then it offers its
	// sockets itself. When it has handed them over it drains and ends, as when it is told to. Empty: none of this.
	// It is for Serve.
	Handover string
	// Services adds services to the empty tree that it gets, before anything is opened: what the connections need, such as a [service.Client] of a database. They belong to the first
	// loop. They start in order when the loop runs, and the places are opened when all have started; if one fails, those before it are stopped again, and Serve returns its
	// error. At the end they stop in the reverse order when no connection is left, within the StopLimit of the tree. SIGHUP has those that are a
	// [service.Reloader] reload. An error of Services is that of Serve. Nil: there are none. It is for Serve.
	Services func(tree *service.Collection) error
	// Notify is the service manager that is told when the server is ready, reloads and ends, and that its loops live, as docs/serve.md says. [activation.TakeNotifier] returns that of the
	// process. Nil: nobody is told. It is for Serve.
	Notify *activation.Notifier
	// Hangup is called on the loop's goroutine when SIGHUP arrives. If it returns true, the certificates
	// are not looked at. Nil: they always are. It is for Serve.
	Hangup func(r *reactor.Reactor) bool
	// Reactor is what else the reactor is told. If its Logger is nil, it is Logger;
	// otherwise it has the same queue. Its Signals must be nil: they would end the reactor
	// without this package.
	Reactor reactor.Config
	// Started is called once on the loop's goroutine, when the loop runs and before the
	// first connection. For a server it gets what was opened, in the order of the places;
	// with port 0 it learns here which port the system chose. [endpoint.Addrs] has all addresses
	// of a place, and [endpoint.Ports] its ports, with their counters and pauses. For a client
	// open is empty, and connecting has not begun. Nil: nothing is called.
	Started func(r *reactor.Reactor, open []endpoint.Listener)
}

// defaultGrace is less than what service managers grant before they kill.
const defaultGrace = 10 * time.Second

// Drainer is implemented by a Protocol that ends its connection when the server or client
// has been told to end; when the grace is over, the connection is aborted.
type Drainer = reactor.Drainer

// check finds mistakes before anything is opened.
func (c *Config) check(f reactor.Factory) error {
	switch {
	case f == nil && c.Datagrams == nil:
		return &ConfigError{"factory", "is nil: reactor.Each makes one of a type"}
	case c.Loops < 0:
		return &ConfigError{"Loops", "must be 0 or more"}
	case c.Loops > 1 && c.Handover != "":
		return &ConfigError{"Loops", "must be 0 or 1 with Handover: the sockets of several loops cannot be handed over"}
	case c.Schemes != nil && c.Stream != (reactor.StreamConfig{}):
		return &ConfigError{"Stream", "must be zero if Schemes is set: give it to the maker of the set, as in std.Options"}
	case c.Schemes != nil && c.Limits != (reactor.PortLimits{}):
		return &ConfigError{"Limits", "must be zero if Schemes is set: give them to the maker of the set, as in std.Options"}
	case c.Schemes != nil && c.Activation != nil:
		return &ConfigError{"Activation", "must be nil if Schemes is set: give it to the maker of the set, as in std.Options"}
	case c.Schemes != nil && !reflect.ValueOf(c.Packets).IsZero():
		return &ConfigError{"Packets", "must be zero if Schemes is set: give it to the maker of the set, as in std.Options"}
	case c.Reactor.Signals != nil:
		return &ConfigError{"Reactor.Signals", "must be nil: use Signals"}
	}
	return nil
}

// schemes returns the types of places.
func (c *Config) schemes() *endpoint.Schemes {
	if c.Schemes != nil {
		return c.Schemes
	}
	return std.Schemes(&std.Options{
		PortLimits: c.Limits, StreamConfig: c.Stream, Packets: c.Packets, Activation: c.Activation, TLSSettings: std.TLSSettings{Logger: c.Logger},
	})
}

// grace returns the limit on draining, zero for none at all.
func (c *Config) grace() time.Duration {
	switch {
	case c.Grace < 0:
		return 0
	case c.Grace == 0:
		return defaultGrace
	}
	return c.Grace
}

// signals returns the signals to take.
func (c *Config) signals() []os.Signal {
	if c.Signals == nil {
		return reactor.StopSignals()
	}
	return c.Signals
}

// logger returns the log, which is never nil.
func (c *Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}
