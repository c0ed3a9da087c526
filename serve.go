package whorl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// Serve opens every place, or none, and serves the connections to all of them with the
// protocols of f, and the datagrams with those of Datagrams, until ctx ends, a signal arrives or [reactor.Reactor.Stop] is called.
// Then it drains as the package comment says. With one loop, the calling goroutine becomes the loop's:
// every method of f and its protocols is called on it. With several, as the package comment says, f and its protocols are
// called on several goroutines AT THE SAME TIME. A panic in a protocol ends that
// connection alone. Several calls may run at a time, on goroutines of their own.
//
// The result of an orderly end is nil, whatever has ended it and however many connections
// had to be aborted. If ctx has ended before, nothing is opened, and the result is nil too.
// Errors are:
//
//   - a [*ConfigError] for a mistake in c, f or the number of places;
//   - a [*PlaceError] for a place of datagrams without Datagrams, or of connections without f (endpoint.ErrKind), for one that is malformed (as [endpoint.Schemes.Server] has it) or
//     that cannot be opened (reactor.ErrListen), for a StopFactory that failed, or for a place of datagrams whose socket has
//     failed: the server ends when no other place is open;
//   - the error of a kernel that cannot be opened or that fails;
//   - a [*handover.Error] if there is a predecessor at c.Handover whose sockets cannot be taken;
//   - a [*reactor.LoopError] for each of several loops that was lost;
//   - a [*service.Error] for a service of c.Services that could not be started or stopped, or what c.Services returned;
//   - reactor.ErrUnfinished if the shutdown did not wait for blocking work, or for a trigger of
//     the program. Its limit is Reactor.ShutdownTimeout, by default the grace and 30 s more, and with c.Services
//     another 30 s.
func (c Config) Serve(ctx context.Context, f reactor.Factory, places ...string) error {
	finish := program.QueueLogs(&c.Logger, &c.Reactor.Logger)
	defer finish()
	at, err := c.places(f, places)
	if err != nil || ctx.Err() != nil {
		return err
	}
	loops, why := c.loops(f, at)
	l, err := c.open(loops)
	if err != nil {
		return err
	}
	defer l.close(finish)
	s := &server{loop: l, at: at, loops: loops, why: why}
	s.notify = program.NewNotify(s.r, c.Notify, s.log)
	s.moved = func(r *reactor.Reactor) { s.notify = s.notify.On(r) }
	if err := s.prepare(&c, f); err != nil {
		s.notify.Status("failed: " + err.Error())
		return err
	}
	s.arm(&c)
	return s.result(s.run(ctx))
}

// prepare opens the places, or, if a predecessor or services come first, has that done when the loop runs.
func (s *server) prepare(c *Config, f reactor.Factory) error {
	s.r.CallWhenRunning(s.notify.Begin)
	if c.Services == nil && c.Handover == "" {
		if err := s.listen(f); err != nil {
			return err
		}
		s.r.CallWhenRunning(func() { s.started(c) })
		return nil
	}
	open := func() { s.begin(c, f) }
	if c.Handover != "" {
		s.next = &succession{path: c.Handover}
		open = func() { s.succeed(c, f) }
	}
	if c.Services == nil {
		s.r.CallWhenRunning(open)
		return nil
	}
	return s.addServices(c, open)
}

// begin opens the places when the loop runs, and tells whether it could.
func (s *server) begin(c *Config, f reactor.Factory) bool {
	if err := s.listen(f); err != nil {
		s.fail(err)
		return false
	}
	s.started(c)
	return true
}

// started is called when all places are open and the loop runs. If Started panics, the server serves all the same, and the service manager and a
// predecessor hear so. If Started ends the goroutine by runtime.Goexit, nobody does, because the loop ends with it.
func (s *server) started(c *Config) {
	if c.Started != nil {
		_ = s.r.Guard("Started", func() { c.Started(s.r, s.open) })
	}
	s.notify.Ready(s.serving())
}

// serving says in a line where the server is.
func (s *server) serving() string {
	const most = 4
	var at []string
	for _, l := range s.open {
		if !isOpen(l) {
			continue
		}
		for _, a := range endpoint.Addrs(l) {
			at = append(at, a.Network()+" "+a.String())
		}
	}
	if n := len(at) - most; n > 0 {
		at = append(at[:most], fmt.Sprint(n, " more"))
	}
	return "serving " + strings.Join(at, ", ")
}

// place is somewhere to listen, or to receive datagrams, and how the caller wrote it.
type place struct {
	text    string
	at      endpoint.Server
	packets endpoint.PacketServer // instead of at
	mk      func() reactor.PacketProtocol
}

// places finds mistakes in all arguments, and reads the descriptions.
func (c *Config) places(f reactor.Factory, texts []string) ([]place, error) {
	if err := c.check(f); err != nil {
		return nil, err
	}
	if len(texts) == 0 {
		return nil, &ConfigError{"places", `are none: name one, such as "tcp:8007"`}
	}
	known := c.schemes()
	var all []place
	for _, text := range texts {
		p := place{text: text, mk: c.Datagrams}
		var err error
		if p.at, err = known.Server(text); errors.Is(err, endpoint.ErrKind) {
			p.packets, err = packetPlace(c, text, err, known.PacketServer)
		} else if err == nil && f == nil {
			err = errNoFactory
		}
		if err != nil {
			return nil, &PlaceError{text, err}
		}
		all = append(all, p)
	}
	return all, nil
}

var errNoFactory = kernel.Sentinel("it takes connections: give a factory for them, as reactor.Each makes one", endpoint.ErrKind)

// packetPlace reads a description of datagrams. kind says that it is one.
func packetPlace[T any](c *Config, text string, kind error, read func(string) (T, error)) (T, error) {
	if c.Datagrams == nil {
		var none T
		return none, fmt.Errorf("%w; Config.Datagrams makes protocols for datagrams, and is nil", kind)
	}
	return read(text)
}

// packetProtocol makes the protocol of a place of datagrams.
func packetProtocol(mk func() reactor.PacketProtocol) (reactor.PacketProtocol, error) {
	if p := mk(); p != nil {
		return p, nil
	}
	return nil, reactor.ErrNoProtocol
}

// server is a loop and the places it listens on.
type server struct {
	*loop
	at   []place
	open []endpoint.Listener // as many as at, once all are open
	errs []error             // of places that have failed, and of factories that could not be stopped
	next *succession         // nil: without Config.Handover
	tree *serviceTree        // nil: without Config.Services

	notify *program.Notify
	ending bool  // end was called
	failed error // why it could not begin
	ends   error // of the last place that was open; also in errs

	loops int
	why   string // there are as many
}

// listen opens every place, or says which could not be. Then those that were opened are
// closed with the reactor.
func (s *server) listen(f reactor.Factory) error {
	for _, p := range s.at {
		l, err := s.openPlace(p, f)
		if err != nil {
			return &PlaceError{p.text, err}
		}
		s.open = append(s.open, l)
	}
	for i, l := range s.open {
		for _, a := range endpoint.Addrs(l) {
			s.log.Info(fmt.Sprintf("listening on %s %s", a.Network(), a),
				slog.String("net", a.Network()), slog.String("addr", a.String()), slog.String("endpoint", s.at[i].text))
		}
	}
	s.log.Info("serving", slog.Int("loops", max(1, s.loops)), slog.String("because", s.why))
	return nil
}

// openPlace opens p.
func (s *server) openPlace(p place, f reactor.Factory) (endpoint.Listener, error) {
	if p.packets == nil {
		return p.at.Listen(s.on(), f)
	}
	proto, err := packetProtocol(p.mk)
	if err != nil {
		return nil, err
	}
	port, err := p.packets.ListenPacket(s.r, &heardPacketProtocol{proto, func(reason error) { s.placeEnded(p, reason) }})
	if err != nil {
		return nil, err // not an endpoint.Listener that holds a nil *reactor.PacketPort
	}
	return port, nil
}

// placeEnded hears that the port of a place of datagrams has ended. If its socket has failed, that is an error of the server, which ends at once if no
// other place is open: otherwise it would go on, and serve nobody.
func (s *server) placeEnded(p place, reason error) {
	if s.ending || reason == reactor.ErrClosed || reason == reactor.ErrStopped {
		return
	}
	err := &PlaceError{p.text, reason}
	s.errs = append(s.errs, err)
	if slices.ContainsFunc(s.open, isOpen) {
		s.log.Error("a place has failed, and the others go on", slog.String("endpoint", p.text), slog.Any("err", reason))
		s.notify.Status("failed: " + err.Error() + "; " + s.serving())
		return
	}
	s.log.Error("stopping, because no place is open any more", slog.String("endpoint", p.text), slog.Any("err", reason))
	s.ends = err
	_ = s.stop() // it may be stopping
}

// isOpen tells whether a place is open, also while its clients wait. One that has no ports that we know is.
func isOpen(l endpoint.Listener) bool {
	if p, ok := l.(*reactor.PacketPort); ok {
		return p.Listening()
	}
	all := endpoint.Listenings(l)
	return len(all) == 0 || slices.ContainsFunc(all, reactor.Listening.Listening)
}

// arm has the server drained before the reactor stops. From now on SIGHUP is taken.
func (s *server) arm(c *Config) {
	s.signals.OnHangup(func(sig os.Signal) { s.reload(sig, c.Hangup) })
	if s.g != nil {
		s.g.AddStopTrigger(s.end)
	} else {
		s.r.AddWaitTrigger(reactor.Shutdown, s.end)
	}
}

// end stops listening and drains. Ports accept what waits in their queues before they close, in
// functions that they have posted. So draining begins in a function that is posted after
// these, and the connections that come from the queues are drained like all others.
func (s *server) end(done func()) {
	s.ending = true
	s.onLead(func() {
		status := "stopping"
		if err := errors.Join(s.failed, s.ends); err != nil {
			status = "failed: " + err.Error()
		}
		s.notify.Stopping(status, s.left)
	})
	s.next.end()
	for i, l := range s.open {
		l.StopListening(func(err error) {
			switch {
			case err == nil:
			case s.at[i].packets != nil: // what was not sent in time is no failure of the server, as a connection that was aborted is none
				s.log.Warn("a place of datagrams has not ended in order", slog.String("endpoint", s.at[i].text), slog.Any("err", err))
			default:
				s.errs = append(s.errs, &PlaceError{s.at[i].text, err})
			}
		})
	}
	s.afterPorts(func() {
		s.log.Info("stopping: no longer listening",
			slog.Int("connections", s.clients()), slog.Duration("grace", s.drain.grace))
		s.drain.begin(func() { s.tree.stop(s.drained(done)) })
	})
}

// left says in a line what a stop waits for.
func (s *server) left() string { return fmt.Sprintf("stopping: %d connections are left", s.clients()) }

// onLead calls fn on the first loop that lives.
func (s *server) onLead(fn func()) {
	if s.g != nil {
		s.g.PostLead(func(*reactor.Reactor) { fn() })
	} else {
		fn()
	}
}

// reload has the server read its certificates, and its services their configuration, again, unless first does something else.
func (s *server) reload(sig os.Signal, first func(*reactor.Reactor) bool) {
	s.notify.Reloading("reloading")
	other := false // also if first panics: then the manager must hear of the end nevertheless
	if first != nil {
		_ = s.r.Guard("Hangup", func() { other = first(s.r) })
	}
	if other {
		if !s.tree.reloading() { // otherwise the end of that is told
			s.notify.Reloaded(s.serving())
		}
		return
	}
	s.log.Info("caught a signal: looking at the certificates", slog.String("signal", sig.String()),
		slog.Int("places", tlsio.CheckAll(s.r)))
	s.tree.reload(func() { s.notify.Reloaded(s.serving()) })
}

// clients counts the connections that ports have accepted, not those that the program has made
// for them: a forwarder has two for each client.
func (s *server) clients() (n int) {
	if s.g != nil {
		for _, l := range s.open {
			for _, p := range endpoint.Listenings(l) {
				n += p.Stats().Open
			}
		}
		return n
	}
	for c := range s.r.Streams() {
		if c.Accepted() && (s.next == nil || s.next.offering == nil || c.Port() != s.next.offering.Port()) {
			n++
		}
	}
	return n
}

// result is what Serve returns; err is what ended the reactor.
func (s *server) result(err error) error {
	if err = errors.Join(append([]error{s.failed, err, s.tree.result()}, s.errs...)...); err == nil {
		s.log.Info("stopped")
	}
	return err
}
