package whorl

import (
	"bytes"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// anywhere is a place with a port that the system chooses.
const anywhere = "tcp:0:interface=127.0.0.1"

// worlds runs body on every kernel, the simulated one included.
func worlds(t *testing.T, body func(t *testing.T, w testworld.World)) {
	t.Helper()
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) { body(t, w) })
	}
}

// served is a server on a reactor of a world, which the test turns.
type served struct {
	*server
	t       *testing.T
	w       testworld.World
	log     *record
	stopped bool
}

// serve starts a server.
func serve(t *testing.T, w testworld.World, c Config, f reactor.Factory, places ...string) *served {
	t.Helper()
	return serveOn(t, w, func(rc reactor.Config) *reactor.Reactor { return w.New(t, rc) }, c, f, places...)
}

// serveOn starts a server on the reactor of mk.
func serveOn(t *testing.T, w testworld.World, mk func(reactor.Config) *reactor.Reactor, c Config, f reactor.Factory, places ...string) *served {
	t.Helper()
	w.Alone()
	v := &served{t: t, w: w, log: new(record)}
	c.Logger = v.log.logger()
	c.Reactor.Logger = c.Logger
	at, err := c.places(f, places)
	if err != nil {
		t.Fatal(err)
	}
	v.server = &server{loop: c.loopOn(mk(c.Reactor)), at: at}
	t.Cleanup(v.signals.GiveBack)
	v.notify = program.NewNotify(v.r, c.Notify, v.server.log)
	if err := v.prepare(&c, f); err != nil {
		t.Fatal(err)
	}
	v.arm(&c)
	v.r.AddTrigger(reactor.After, reactor.Shutdown, func() { v.stopped = true })
	if err := v.r.Start(); err != nil {
		t.Fatal(err)
	}
	return v
}

// peer connects, and has a line echoed, so that the server has the connection for sure.
func (v *served) peer() *testworld.Peer {
	v.t.Helper()
	p := v.w.Peer(v.t, v.open[0].Addr(), v.r)
	v.echoed(p)
	return p
}

func (v *served) echoed(p *testworld.Peer) {
	v.t.Helper()
	p.Send("hello\n")
	p.Expect("hello\n")
}

// apart lets time pass, so that the next signal is not the twin of the last one.
func (v *served) apart() {
	v.t.Helper()
	over := false
	v.r.CallLater(program.SignalTwins, func() { over = true })
	v.until(func() bool { return over })
}

// until turns the server until done.
func (v *served) until(done func() bool) {
	v.t.Helper()
	testworld.Until(v.t, done, v.r)
}

// ended turns the server to its end, and fails the test if that is not in order.
func (v *served) ended() {
	v.t.Helper()
	v.until(func() bool { return v.stopped })
	if err := v.result(nil); err != nil {
		v.t.Errorf("ended with %v", err)
	}
}

// has fails the test unless the log has each text so many times as it is given.
func (v *served) has(texts ...string) {
	v.t.Helper()
	for _, text := range texts {
		if !strings.Contains(v.log.String(), text) {
			v.t.Errorf("the log lacks %q:\n%s", text, v.log)
		}
	}
}

// lacks fails the test if the log has text.
func (v *served) lacks(text string) {
	v.t.Helper()
	if strings.Contains(v.log.String(), text) {
		v.t.Errorf("the log has %q:\n%s", text, v.log)
	}
}

// record is a log that a test reads, also while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *record) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

// echo sends back what arrives.
type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { e.T.Write(p) }

// polite is an echo that says goodbye when it is drained.
type polite struct {
	echo
	drained int
	onDrain func()
	lost    error
}

func (p *polite) Drain() {
	p.drained++
	if p.onDrain != nil {
		p.onDrain()
		return
	}
	io.WriteString(p.T, "bye")
	p.T.Close()
}

func (p *polite) ConnectionLost(err error) { p.lost = err }

// list is a factory of a given list of protocols.
type list struct {
	all     []reactor.Protocol
	started int
	stopErr error
}

func (l *list) BuildProtocol(kernel.Addr) reactor.Protocol {
	p := l.all[0]
	l.all = l.all[1:]
	return p
}

func (l *list) StartFactory() error { l.started++; return nil }
func (l *list) StopFactory() error  { l.started--; return l.stopErr }

// shell is around a protocol, as wrappers of applications are.
type shell struct{ reactor.Protocol }

func (s *shell) Unwrap() reactor.Protocol { return s.Protocol }

func loopback() netip.Addr { return netip.MustParseAddr("127.0.0.1") }
