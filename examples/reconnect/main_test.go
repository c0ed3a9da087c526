package main

import (
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// greeter says a line to whoever connects, and hangs up.
type greeter struct{ reactor.Base }

func (g *greeter) ConnectionMade(t reactor.Transport) {
	g.Base.ConnectionMade(t)
	fmt.Fprintln(t, "hello")
	t.Close()
}
func (g *greeter) DataReceived([]byte) {}

// TestMain has tests that wait run all at a time, however few Ps there are.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8")
	m.Run()
}

// On a real kernel too the client prints lines and states, and comes back.
func TestFollow(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits a second before it comes back
			r := w.New(t, reactor.Config{})
			port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), reactor.Each[greeter](), nil)
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			c := follow(r, port.Addr(), func(line string) { said = append(said, line) })
			want := []string{"[connecting]", "[connected]", "hello", "[waiting: EOF]", "[connecting]", "[connected]", "hello"}
			testworld.Until(t, func() bool { return len(said) >= len(want) }, r)
			c.Stop()
			if got := said[:len(want)]; !slices.Equal(got, want) {
				t.Errorf("said %s", strings.Join(got, ", "))
			}
			if last := said[len(said)-1]; last != "[stopped]" {
				t.Errorf("after Stop: %s", last)
			}
		})
	}
}
