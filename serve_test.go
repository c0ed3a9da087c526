package whorl

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// kernels runs body for every kernel that Serve can open.
func kernels(t *testing.T, body func(t *testing.T, name string)) {
	t.Helper()
	for _, name := range native.Names() {
		t.Run(name, func(t *testing.T) { body(t, name) })
	}
}

// running is a Serve on a goroutine of its own.
type running struct {
	t      *testing.T
	r      *reactor.Reactor
	open   []endpoint.Listener
	cancel func()
	result chan error
}

// start calls Serve and waits until it has started.
func start(t *testing.T, c Config, f reactor.Factory, places ...string) *running {
	t.Helper()
	v := &running{t: t, result: make(chan error, 1)}
	started := make(chan struct{})
	c.Started = func(r *reactor.Reactor, open []endpoint.Listener) {
		v.r, v.open = r, open
		close(started)
	}
	ctx, cancel := context.WithCancel(context.Background())
	v.cancel = cancel
	t.Cleanup(cancel)
	go func() { v.result <- c.Serve(ctx, f, places...) }()
	select {
	case <-started:
	case err := <-v.result:
		t.Fatalf("it has not started: %v", err)
	}
	return v
}

// dial connects to a place of the server.
func (v *running) dial(i int) net.Conn {
	v.t.Helper()
	c, err := net.Dial("tcp", v.open[i].Addr().String())
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// echoed fails the test unless c is an echo.
func echoed(t *testing.T, c net.Conn) {
	t.Helper()
	got := make([]byte, 5)
	io.WriteString(c, "hello")
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("got %q and %v, want an echo", got, err)
	}
}

// Several places are served, also by TLS; ports that the system chose are told; when the
// context ends, connections are drained and the result is nil.
func TestServe(t *testing.T) {
	kernels(t, func(t *testing.T, name string) {
		file, roots := certificate(t)
		v := start(t, Config{Kernel: name}, reactor.Each[polite](), anywhere, "tcp4:0:interface=127.0.0.1",
			"tls:0:"+endpoint.Quote(file)+":interface=127.0.0.1")
		if len(v.open) != 3 || v.open[0].Addr().Port() == 0 || v.open[0].Addr() == v.open[1].Addr() {
			t.Fatalf("it listens on %v", v.open)
		}
		var conns []net.Conn
		for i := range v.open {
			conns = append(conns, v.dial(i))
		}
		conns[2] = tls.Client(conns[2], &tls.Config{RootCAs: roots, ServerName: "localhost"})
		for _, c := range conns {
			echoed(t, c)
		}
		v.cancel()
		for i, c := range conns {
			if got, err := io.ReadAll(c); string(got) != "bye" || err != nil {
				t.Errorf("place %d: got %q and %v, want bye", i, got, err)
			}
			c.Close()
		}
		if err := <-v.result; err != nil {
			t.Errorf("the result is %v", err)
		}
	})
}

// Stop in a callback ends the server in order too.
func TestServeStop(t *testing.T) {
	v := start(t, Config{}, reactor.Each[polite](), anywhere)
	c := v.dial(0)
	echoed(t, c)
	v.r.Post(func() { v.r.Stop() })
	if got, err := io.ReadAll(c); string(got) != "bye" || err != nil {
		t.Errorf("got %q and %v, want bye", got, err)
	}
	c.Close()
	if err := <-v.result; err != nil {
		t.Errorf("the result is %v", err)
	}
}

// bomb panics when something arrives.
type bomb struct{ echo }

func (*bomb) DataReceived([]byte) { panic("bang") }

// A panic in a protocol ends its connection and nothing else.
func TestServeOutlivesPanics(t *testing.T) {
	log := new(record)
	f := &list{all: []reactor.Protocol{new(bomb), new(echo)}}
	v := start(t, Config{Logger: log.logger()}, f, anywhere)
	bad := v.dial(0)
	io.WriteString(bad, "x")
	if _, err := bad.Read(make([]byte, 1)); err == nil {
		t.Error("the connection of the one that panicked lives")
	}
	good := v.dial(0)
	echoed(t, good)
	good.Close()
	v.cancel()
	if err := <-v.result; err != nil || !strings.Contains(log.String(), "bang") {
		t.Errorf("the result is %v, the log\n%s", err, log)
	}
}

// hoard writes more than it may.
type hoard struct {
	reactor.Base
	why error
}

func (p *hoard) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	p.T.Write([]byte("12"))
	_, p.why = p.T.Write(make([]byte, 1000))
}
func (*hoard) DataReceived([]byte) {}

// Stream limits what connections may buffer.
func TestServeLimitsBuffers(t *testing.T) {
	p := new(hoard)
	v := start(t, Config{Stream: reactor.StreamConfig{MaxBuffered: 1000}}, &list{all: []reactor.Protocol{p}}, anywhere)
	if c, err := net.Dial("tcp", v.open[0].Addr().String()); err == nil { // the reset may come first
		io.ReadAll(c)
		c.Close()
	}
	v.cancel()
	if err := <-v.result; err != nil || !errors.Is(p.why, reactor.ErrBufferFull) {
		t.Errorf("the result is %v, and writing too much %v", err, p.why)
	}
}

// taken is a place where somebody listens already.
func taken(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return fmt.Sprintf("tcp:%d:interface=127.0.0.1", l.Addr().(*net.TCPAddr).Port)
}

// All places are opened, or none: the error names the one that failed, the others are
// closed, the factory is stopped, and nobody is told of a start.
func TestServeAllOrNone(t *testing.T) {
	kernels(t, func(t *testing.T, name string) {
		first, other := taken(t), taken(t)
		before := leaktest.Descriptors()
		l, err := net.Listen("tcp", "127.0.0.1:0") // and free again
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		free := fmt.Sprintf("tcp:%d:interface=127.0.0.1", l.Addr().(*net.TCPAddr).Port)
		log, f := new(record), new(list)
		c := Config{Kernel: name, Logger: log.logger()}
		c.Started = func(*reactor.Reactor, []endpoint.Listener) { t.Error("it has started") }
		err = c.Serve(context.Background(), f, free, other, first)
		e, ok := errors.AsType[*PlaceError](err)
		if !ok || e.Place != other || !errors.Is(err, kernel.ErrAddrInUse) || !errors.Is(err, reactor.ErrListen) ||
			!strings.HasPrefix(err.Error(), other+": ") {
			t.Errorf("the result is %v", err)
		}
		if f.started != 0 || strings.Contains(log.String(), "listening on") {
			t.Errorf("the factory is in use %d times, the log\n%s", f.started, log)
		}
		if l, err = net.Listen("tcp", l.Addr().String()); err != nil {
			t.Errorf("the first place is not free: %v", err)
		} else {
			l.Close()
		}
		if now := leaktest.Descriptors(); now > before {
			t.Errorf("%d descriptors before, %d after", before, now)
		}
	})
}

// A context that has ended before opens nothing, but mistakes are told.
func TestServeAfterTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := Config{Started: func(*reactor.Reactor, []endpoint.Listener) { t.Error("it has started") }}
	if err := c.Serve(ctx, reactor.Each[echo](), taken(t)); err != nil {
		t.Errorf("the result is %v", err)
	}
	if err := Serve(ctx, reactor.Each[echo](), "tcp:x"); !errors.Is(err, endpoint.ErrArgument) {
		t.Errorf("a malformed place: %v", err)
	}
}

// Limits hold for each place that does not say otherwise.
func TestServeLimits(t *testing.T) {
	kernels(t, func(t *testing.T, name string) {
		c := Config{Kernel: name, Limits: reactor.PortLimits{MaxPerPeer: 1}}
		v := start(t, c, reactor.Each[polite](), anywhere, anywhere+":maxperpeer=2")
		for place := range v.open {
			for range place + 1 {
				echoed(t, v.dial(place))
			}
			c, err := net.Dial("tcp", v.open[place].Addr().String())
			if err == nil { // the reset may also come before Dial has returned
				defer c.Close()
				c.SetDeadline(time.Now().Add(30 * time.Second))
				_, err = io.ReadAll(c)
			}
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("place %d: one more of the same peer sees %v, want a reset", place, err)
			}
		}
		v.cancel()
		if err := <-v.result; err != nil {
			t.Errorf("the result is %v", err)
		}
	})
}

// Mistakes are errors that say what to do, before anything is opened.
func TestServeMistakes(t *testing.T) {
	f, ctx := reactor.Each[echo](), context.Background()
	for _, x := range []struct {
		what string
		err  error
		is   error
		says string
	}{
		{"no factory", Serve(ctx, nil, anywhere), ErrConfig, "reactor.Each"},
		{"no place", Serve(ctx, f), ErrConfig, "tcp:8007"},
		{"negative loops", Config{Loops: -1}.Serve(ctx, f, anywhere), ErrConfig, "Loops must be 0 or more"},
		{"loops and handover", Config{Loops: 2, Handover: "/x"}.Serve(ctx, f, anywhere), ErrConfig, "with Handover"},
		{"reactor's signals", Config{Reactor: reactor.Config{Signals: []os.Signal{}}}.Serve(ctx, f, anywhere), ErrConfig, "use Signals"},
		{"limits of another's", Config{Schemes: std.Schemes(nil), Stream: reactor.StreamConfig{HighWater: 1}}.Serve(ctx, f, anywhere),
			ErrConfig, "std.Options"},
		{"activation of another's", Config{Schemes: std.Schemes(nil), Activation: new(activation.Sockets)}.Serve(ctx, f, anywhere),
			ErrConfig, "Activation must be nil"},
		{"limits of another's ports", Config{Schemes: std.Schemes(nil), Limits: reactor.PortLimits{MaxPerPeer: 1}}.Serve(ctx, f, anywhere),
			ErrConfig, "Limits must be zero"},
		{"unknown kernel", Config{Kernel: "abacus"}.Serve(ctx, f, anywhere), kernel.ErrUnsupported, `"abacus"`},
		{"limits", Config{Stream: reactor.StreamConfig{HighWater: 1, LowWater: 2}}.Serve(ctx, f, anywhere), reactor.ErrMarks, anywhere},
		{"syntax", Serve(ctx, f, anywhere, "tcp:[::1"), endpoint.ErrSyntax, `endpoint description "tcp:[::1"`},
		{"scheme", Serve(ctx, f, anywhere, "tpc:0"), endpoint.ErrUnknownScheme, "tpc:0: "},
		{"client: loops", Config{Loops: 2}.Connect(ctx, f, "tcp:localhost:1"), ErrConfig, "Loops"},
		{"client: scheme", Connect(ctx, f, "tpc:localhost:1"), endpoint.ErrUnknownScheme, "tpc:localhost:1: "},
	} {
		if !errors.Is(x.err, x.is) || !strings.Contains(x.err.Error(), x.says) {
			t.Errorf("%s: %v; want %v that says %q", x.what, x.err, x.is, x.says)
		}
		if n := strings.Count(x.err.Error(), "tcp:[::1"); x.is == endpoint.ErrSyntax && n != 1 {
			t.Errorf("the description stands there %d times: %v", n, x.err)
		}
	}
}

// certificate writes a certificate for localhost, and returns the file and who trusts it.
func certificate(t *testing.T) (string, *x509.CertPool) {
	t.Helper()
	ca := tlstest.NewAuthorityAt("ca", time.Now())
	file := filepath.Join(t.TempDir(), "localhost.pem")
	if err := os.WriteFile(file, tlstest.BothPEM(ca.Leaf("localhost")), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, ca.Pool()
}

// SIGHUP has the certificates read again, also those of a place that never looks by itself.
func TestServeHangup(t *testing.T) {
	for name, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue // TestServeOnSignals sends real signals
		}
		t.Run(name, func(t *testing.T) {
			file, _ := certificate(t)
			v := serve(t, w, Config{}, reactor.Each[echo](), "tls:0:"+endpoint.Quote(file)+":interface=127.0.0.1:reload=-1")
			next := tlstest.NewAuthorityAt("ca", time.Now()).Renewed("localhost")
			if err := os.WriteFile(file, tlstest.BothPEM(next), 0o600); err != nil {
				t.Fatal(err)
			}
			pause := func(d time.Duration) {
				over := false
				v.r.CallLater(d, func() { over = true })
				v.until(func() bool { return over })
			}
			pause(3 * time.Second)
			v.lacks("certificate loaded")
			w.Net().Host("localhost").Signal(syscall.SIGHUP)
			pause(2 * time.Second)
			v.has(`msg="caught a signal: looking at the certificates" signal=hangup places=1`, "certificate loaded")
			v.r.Stop()
			v.ended()
			if n := tlsio.CheckAll(v.r); n != 0 {
				t.Errorf("%d reloaders are left", n)
			}
		})
	}
}

// A SIGHUP that Config.Signals names ends the server.
func TestServeHangupEnds(t *testing.T) {
	for name, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue
		}
		t.Run(name, func(t *testing.T) {
			v := serve(t, w, Config{Signals: []os.Signal{syscall.SIGHUP}}, reactor.Each[echo](), anywhere)
			w.Net().Host("localhost").Signal(syscall.SIGHUP)
			v.ended()
			v.has(`msg="caught a signal" signal=hangup`)
			v.lacks("certificates")
		})
	}
}
