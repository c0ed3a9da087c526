//go:build unix

package whorl

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// onLoop tells which loop it is on, and echoes.
type onLoop struct{ echo }

func (o *onLoop) ConnectionMade(t reactor.Transport) {
	o.echo.ConnectionMade(t)
	t.Write([]byte{byte('0' + t.Reactor().Index())})
}

// loopOf is the loop that serves c.
func loopOf(t *testing.T, c net.Conn) byte {
	t.Helper()
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		t.Fatal(err)
	}
	return b[0]
}

// How many loops there are: one a core if the factory says that this is safe, else one, unless Loops says so.
func TestLoopsByDefault(t *testing.T) {
	cores := runtime.GOMAXPROCS(0)
	shared := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil })
	for _, x := range []struct {
		c    Config
		f    reactor.Factory
		want int
	}{
		{Config{}, reactor.Each[echo](), cores}, {Config{}, shared, 1}, {Config{Loops: 3}, shared, 3},
		{Config{Loops: 1}, reactor.Each[echo](), 1}, {Config{Handover: "/x"}, reactor.Each[echo](), 1},
	} {
		if n, why := x.c.loops(x.f, []place{{}}); n != x.want || why == "" {
			t.Errorf("%+v: %d loops, because %q; want %d", x.c, n, why, x.want)
		}
	}
	c := Config{Datagrams: func() reactor.PacketProtocol { return nil }}
	at, err := c.places(reactor.Each[echo](), []string{"udp:0"})
	if n, _ := c.loops(reactor.Each[echo](), at); err != nil || n != 1 {
		t.Errorf("%d loops for datagrams: %v", n, err)
	}
}

// A server of three loops serves on all of them, on TCP and on a UNIX socket, drains them all, and says what it does.
func TestServeOnSeveralLoops(t *testing.T) {
	kernels(t, func(t *testing.T, name string) {
		log := new(record)
		unix := filepath.Join(t.TempDir(), "s")
		v := start(t, Config{Kernel: name, Loops: 3, Logger: log.logger(), Grace: testworld.Limit}, reactor.Each[onLoop](), anywhere, "unix:"+unix)
		if v.r.Group() == nil || v.r.Group().Len() != 3 || len(endpoint.Listenings(v.open[0])) != 1 {
			t.Error("there is no group of three")
		}
		seen := map[byte]bool{}
		var conns []net.Conn
		for range 300 {
			c := v.dial(0)
			seen[loopOf(t, c)] = true
			conns = append(conns, c)
			if len(seen) == 3 {
				break
			}
		}
		for range 60 { // the loop with the fewest connections is next
			if len(seen) == 6 {
				break
			}
			c, err := net.Dial("unix", unix)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			seen[loopOf(t, c)+3] = true
			conns = append(conns, c)
		}
		if len(seen) != 6 {
			t.Errorf("GROUP-2: the loops that serve: %v", seen)
		}
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), "no longer listening"); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("it does not stop")
			}
		}
		for _, c := range conns { // they may finish, on every loop
			c.Write([]byte("x"))
			if got := loopOf(t, c); got != 'x' {
				t.Errorf("the echo is %q", got)
			}
			c.Close()
		}
		if err := <-v.result; err != nil {
			t.Error(err)
		}
		for _, text := range []string{"msg=serving loops=3", "no longer listening"} {
			if !strings.Contains(log.String(), text) {
				t.Errorf("the log lacks %q:\n%s", text, log)
			}
		}
		if strings.Contains(log.String(), "aborting") {
			t.Errorf("connections were aborted:\n%s", log)
		}
	})
}

// Connections that do not finish are aborted when the grace is over, on every loop.
func TestServeLoopsGrace(t *testing.T) {
	v := start(t, Config{Loops: 3, Grace: 50 * time.Millisecond}, reactor.Each[onLoop](), anywhere)
	var conns []net.Conn
	for range 20 {
		c := v.dial(0)
		loopOf(t, c)
		conns = append(conns, c)
	}
	v.cancel()
	if err := <-v.result; err != nil {
		t.Error(err)
	}
	for _, c := range conns {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("GROUP-8: %v", err)
		}
	}
}

// A server that has lost its first loop ends, and the connections of the others may finish (GROUP-9).
func TestServeLosesItsFirstLoop(t *testing.T) {
	log := new(record)
	v := start(t, Config{Loops: 2, Logger: log.logger()}, reactor.Each[onLoop](), anywhere)
	var other net.Conn
	for other == nil {
		if c := v.dial(0); loopOf(t, c) == '1' {
			other = c
		}
	}
	v.r.Post(runtime.Goexit)
	for end := time.Now().Add(10 * time.Second); !strings.Contains(log.String(), "stopping"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not stop")
		}
	}
	other.Write([]byte("x"))
	if got := loopOf(t, other); got != 'x' {
		t.Errorf("GROUP-9: the echo is %q", got)
	}
	other.Close()
	err := <-v.result
	if e, ok := errors.AsType[*reactor.LoopError](err); !ok || e.Loop != 0 {
		t.Errorf("GROUP-9: %v", err)
	}
}

// GROUP-14: a session of TLS that one loop has begun resumes on any other, and a certificate that was replaced is the one of
// all loops after one look at the files.
func TestServeLoopsTLS(t *testing.T) {
	a := tlstest.NewAuthorityAt("authority", time.Now())
	path := filepath.Join(t.TempDir(), "site.pem")
	issue := func(c tls.Certificate) string {
		if err := os.WriteFile(path+".new", tlstest.BothPEM(c), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		return string(c.Certificate[0])
	}
	first := issue(a.Leaf("localhost"))
	v := start(t, Config{Loops: 3}, reactor.Each[onLoop](), "tls:0:"+endpoint.Quote(path)+":interface=127.0.0.1:reload=-1s")
	cfg := &tls.Config{RootCAs: a.Pool(), ServerName: "localhost", ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	connect := func(cfg *tls.Config) (on byte, s tls.ConnectionState) {
		c, err := tls.Dial("tcp", v.open[0].Addr().String(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		return loopOf(t, c), c.ConnectionState()
	}
	last, s := connect(cfg)
	if s.DidResume || string(s.PeerCertificates[0].Raw) != first {
		t.Error("GROUP-14: the first connection resumed, or has another certificate")
	}
	moved := 0
	for tries := 0; moved < 5; tries++ {
		if tries == 300 {
			t.Fatal("one loop serves all")
		}
		on, s := connect(cfg)
		if !s.DidResume {
			t.Errorf("GROUP-14: not resumed on loop %c, after loop %c", on, last)
		}
		if on != last {
			moved++
		}
		last = on
	}
	second := issue(a.Renewed("localhost"))
	cfg.ClientSessionCache = nil
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	seen := map[byte]bool{}
	for end := time.Now().Add(20 * time.Second); len(seen) < 3; {
		on, s := connect(cfg)
		if string(s.PeerCertificates[0].Raw) == second {
			seen[on] = true
		} else if len(seen) > 0 {
			t.Fatal("GROUP-14: one loop has the new certificate, and another one the old")
		}
		if time.Now().After(end) {
			t.Fatalf("GROUP-14: the loops with the new certificate: %v", seen)
		}
	}
	v.cancel()
	if err := <-v.result; err != nil {
		t.Error(err)
	}
}

// GROUP-8: the drain of a group ends although the loop that is to be told of it is lost at that moment.
func TestGroupDrainedWhileLeadIsLost(t *testing.T) {
	kernels(t, func(t *testing.T, name string) {
		g, err := reactor.NewGroup(reactor.GroupConfig{Loops: 2, Kernel: func(_, loops int) (kernel.Kernel, error) {
			return native.OpenWith(name, native.Options{Loops: loops})
		}, Reactor: reactor.Config{Logger: slog.New(slog.DiscardHandler)}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- g.Run(t.Context()) }()
		busy, gate, done := make(chan bool), make(chan bool), make(chan bool)
		g.PostTo(0, func(*reactor.Reactor) { close(busy); <-gate; runtime.Goexit() })
		<-busy
		x := &groupDrain{g: g, left: 1, done: func() { close(done) }}
		x.drained()
		close(gate)
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("GROUP-8: the drain does not end")
		}
		_ = g.Stop()
		if e, ok := errors.AsType[*reactor.LoopError](<-ended); !ok || e.Loop != 0 {
			t.Error("GROUP-9: the loss is not told")
		}
	})
}
