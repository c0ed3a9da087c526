package whorl_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// cores runs a group of all cores with f, and calls body.
func cores(t *testing.T, f func(g *reactor.Group) reactor.Factory, body func(g *reactor.Group, dial func() net.Conn)) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	serving := make(chan *reactor.Group, 1)
	var port *reactor.GroupPort
	go func() {
		ended <- onAllCores(ctx, func(g *reactor.Group) (err error) {
			port, err = g.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), f(g), nil)
			serving <- g
			return err
		})
	}()
	g := <-serving
	for !g.Running() {
		time.Sleep(time.Millisecond)
	}
	body(g, func() net.Conn {
		c, err := net.Dial("tcp", port.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(30 * time.Second))
		return c
	})
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestCoresHits(t *testing.T) {
	cores(t, func(*reactor.Group) reactor.Factory { return reactor.Each[hitter]() }, func(g *reactor.Group, dial func() net.Conn) {
		for range 20 {
			fmt.Fprint(dial(), "x")
		}
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
			if n, err := allHits(g); err != nil || n > 20 || time.Now().After(end) {
				t.Fatalf("%d hits: %v", n, err)
			} else if n == 20 {
				break
			}
		}
		setGreeting(g, "good evening")
		if err := g.Each(func(r *reactor.Reactor) error {
			if text := greetingOf(r).text; text != "good evening" {
				return fmt.Errorf("the greeting is %q", text)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestCoresShards(t *testing.T) {
	cores(t, newStore, func(g *reactor.Group, dial func() net.Conn) {
		for i := range 20 {
			c := dial()
			fmt.Fprintf(c, "set k%d v%d\nget k%d\nget none%d\n", i, i, i, i)
			want := map[string]bool{fmt.Sprintf("v%d true", i): true, " false": true} // in any order
			for range 2 {
				line := ""
				for b := make([]byte, 1); ; {
					if _, err := c.Read(b); err != nil {
						t.Fatal(err)
					}
					if b[0] == '\n' {
						break
					}
					line += string(b)
				}
				if !want[line] {
					t.Errorf("answer %q of %v", line, want)
				}
				delete(want, line)
			}
		}
	})
}
