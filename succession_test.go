package whorl

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/reactor"
)

// A server that is told to end while its predecessor is silent has ended in order.
func TestToldToEndWhileTaking(t *testing.T) {
	dir, err := os.MkdirTemp("", "whorl")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		if c, err := l.Accept(); err == nil { // it has asked for the sockets
			defer c.Close()
			cancel()
			io.Copy(io.Discard, c)
		}
	}()
	if err := (Config{Handover: path, Signals: []os.Signal{}}).Serve(ctx, reactor.Each[stillness](), "tcp:0:interface=127.0.0.1"); err != nil {
		t.Error(err)
	}
}

// stillness says nothing.
type stillness struct{ reactor.Base }

func (*stillness) DataReceived([]byte) {}
