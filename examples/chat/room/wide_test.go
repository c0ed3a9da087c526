package room_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/examples/chat/room"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// On four real loops, eight users talk at the same time, and all hear the same lines in the same order. Run it with -race.
func TestWide(t *testing.T) {
	const users, lines = 8, 50
	g, err := reactor.NewGroup(reactor.GroupConfig{Loops: 4, Kernel: native.OpenGroup("", native.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	w := room.NewWide(g)
	port, err := g.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), w, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Run(context.Background()) }()
	var all, talking sync.WaitGroup
	talking.Add(users)
	heard := make([][]string, users)
	for i := range users {
		all.Go(func() {
			c, err := net.Dial("tcp", port.Addr().String())
			if err != nil {
				t.Error(err)
				talking.Done()
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(30 * time.Second))
			in := bufio.NewReader(c)
			next := func() string {
				line, err := in.ReadString('\n')
				if err != nil {
					t.Errorf("user %d: %v", i, err)
				}
				return line
			}
			fmt.Fprintf(c, "u%d\n", i)
			// All are in the room before anybody talks, so that all hear all.
			joined := next() == fmt.Sprintf("* u%d joined\n", i)
			if !joined {
				t.Errorf("user %d hears something else before it has joined", i)
			}
			talking.Done()
			talking.Wait()
			for k := range lines {
				fmt.Fprintf(c, "%d\n", k)
			}
			for len(heard[i]) < users*lines && !t.Failed() {
				if line := next(); !strings.HasPrefix(line, "*") {
					heard[i] = append(heard[i], line)
				}
			}
		})
	}
	all.Wait()
	for i := range users {
		if !slices.Equal(heard[i], heard[0]) {
			t.Errorf("users %d and 0 heard different orders", i)
		}
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
