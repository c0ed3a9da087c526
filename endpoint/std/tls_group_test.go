//go:build unix

package std_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// sharedLines is a log that several loops write.
type sharedLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *sharedLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *sharedLines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// group runs two loops, each of which is started anew once.
func group(t *testing.T) *reactor.Group {
	t.Helper()
	g, err := reactor.NewGroup(reactor.GroupConfig{Loops: 2, Restarts: 1, Kernel: func(_, n int) (kernel.Kernel, error) {
		return native.OpenWith("", native.Options{Loops: n})
	}, Reactor: reactor.Config{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Run(context.Background()) }()
	eventually(t, "the group runs", g.Running)
	t.Cleanup(func() {
		_ = g.Stop()
		<-ended
	})
	return g
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(testworld.Limit); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// loseLoop ends the goroutine of a loop, and waits until another one has taken its place.
func loseLoop(t *testing.T, g *reactor.Group, loop int) {
	t.Helper()
	r := g.Loop(loop)
	r.Post(runtime.Goexit)
	eventually(t, "it is started anew", func() bool { return g.Loop(loop) != r && g.Loop(loop).Running() })
}

// GROUP-14: one look at the certificates serves all loops. The loop on which the place was opened looks, and when it is lost, another one.
func TestTLSReloadsWithoutLoop(t *testing.T) {
	ca := newAuthority(t, "ca")
	g := group(t)
	var log sharedLines
	both, _, _ := ca.issue("srv", "srv.example")
	schemes := std.Schemes(&std.Options{TLSSettings: std.TLSSettings{Logger: slog.New(slog.NewTextHandler(&log, nil))}})
	e, err := schemes.Server(describe("tls", "0", both, "interface=127.0.0.1", "reload=0.01"))
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	var place endpoint.Listener
	g.PostTo(1, func(*reactor.Reactor) {
		var err error
		place, err = e.Listen(g, reactor.Each[indexer]())
		opened <- err
	})
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		ca.issue("srv", "srv.example") // another one in its place
		eventually(t, "GROUP-14: the new certificate is used", func() bool { return log.count("certificate loaded") == n })
		if n < 3 {
			loseLoop(t, g, 2-n) // the one that looks
		}
	}
	closed := make(chan error, 1)
	place.StopListening(func(err error) { closed <- err })
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// indexer sends the index of its loop, and ends.
type indexer struct{ reactor.Base }

func (x *indexer) ConnectionMade(t reactor.Transport) {
	x.Base.ConnectionMade(t)
	fmt.Fprint(t, t.Reactor().Index())
	t.Close()
}

func (x *indexer) DataReceived([]byte) {}

func (x *indexer) ConnectionLost(error) { _ = x.T.Reactor().Stop() }

// stdioGroupChild has TestStdioInCallback be the child.
const stdioGroupChild = "WHORL_TEST_STDIO_GROUP"

// The connection of standard input and output belongs to the loop whose callback has opened it (EP-15), and not to the first.
func TestStdioInCallback(t *testing.T) {
	if os.Getenv(stdioGroupChild) != "" {
		g := group(t)
		g.PostTo(1, func(*reactor.Reactor) {
			if _, err := (&std.StdioServer{}).Listen(g, reactor.Each[indexer]()); err != nil {
				t.Error(err)
			}
		})
		<-g.Done()
		return
	}
	c := exec.Command(os.Args[0], "-test.run", "^TestStdioInCallback$")
	c.Env = append(os.Environ(), stdioGroupChild+"=1")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var wrong bytes.Buffer
	c.Stderr = &wrong
	out, err := c.Output()
	if !strings.HasPrefix(string(out), "1") || err != nil || strings.Contains(wrong.String(), "DATA RACE") {
		t.Errorf("EP-15: it says %q, and is served by loop %q: %v", wrong.String(), out, err)
	}
}
