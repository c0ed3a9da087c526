// Websocket is a chat for browsers: run it, and open http://localhost:8009 in two windows. The page and the WebSockets are on one port,
// served by net/http; the room is that of examples/chat. README.md says what it costs to hold 100,000 users.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/websocket"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8009", "the address of the port")
	loops := flag.Int("loops", 1, "how many loops serve the connections")
	quiet := flag.Bool("quiet", false, "tell nobody who joins and leaves: in a crowd each arrival would be a line for everybody")
	ping := flag.Duration("ping", time.Minute, "how long a user may be silent before it is pinged; a negative time: for ever")
	tables := flag.Bool("tables", false, "give each loop a table of descriptors of its own, so that a limit of descriptors counts for each loop (Linux)")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("%q is no flag: the address is -listen ADDRESS", flag.Arg(0))
	}
	a, err := netip.ParseAddrPort(*listen)
	if err != nil {
		log.Fatal(err)
	}
	g, err := reactor.NewGroup(reactor.GroupConfig{Loops: *loops, Kernel: native.OpenGroup("", native.Options{}), Reactor: reactor.Config{Logger: slog.Default()}})
	if err != nil {
		log.Fatal(err)
	}
	s, err := open(g, kernel.TCPAddr(a.Addr(), a.Port()), *quiet, &websocket.Options{Ping: *ping})
	if err != nil {
		log.Fatal(err)
	}
	if *tables {
		for i := range g.Len() {
			g.PostTo(i, func(*reactor.Reactor) {
				if err := ownTable(); err != nil {
					log.Fatal(err)
				}
			})
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log.Printf("open http://%v", s.l.Addr())
	if err := s.serve(ctx); err != nil {
		log.Fatal(err)
	}
}
