package sim_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// A program that is killed, or whose host crashes, leaves its socket file. The next one can listen
// there if the file has a lock (UNIX-9, UNIX-10), and not without (UNIX-3). An abstract name is free
// at once (UNIX-2).
func TestUNIXLeftBehind(t *testing.T) {
	for what, end := range map[string]func(h *sim.Host){
		"killed":  func(h *sim.Host) { h.Kill() },
		"crashed": func(h *sim.Host) { h.Crash(); h.Restart() },
	} {
		for seed := range uint64(20) {
			n := sim.New(seed)
			h := n.Host("a")
			locked := &reactor.ListenConfig{}
			locked.UNIX.Lock = true
			listen := func(name string, cfg *reactor.ListenConfig) error {
				_, err := h.Reactor.Listen(kernel.UNIXAddr(name), reactor.One(new(sender)), cfg)
				return err
			}
			var first, again, plain, abstract, lost error
			c := &lossy{lost: &lost}
			n.At(0, func() {
				first = errors.Join(listen("/run/locked", locked), listen("/run/plain", nil), listen("@abstract", nil))
				again = listen("/run/locked", locked)
				h.Reactor.Dial(kernel.UNIXAddr("/run/plain"), reactor.One(c), nil, nil)
			})
			n.At(time.Second, func() { end(h) })
			n.At(2*time.Second, func() {
				plain = listen("/run/plain", nil)
				abstract = listen("@abstract", nil)
				first = errors.Join(first, listen("/run/locked", locked))
			})
			var refused error
			n.At(3*time.Second, func() {
				h.Reactor.Dial(kernel.UNIXAddr("/run/plain"), reactor.One(new(sender)), nil, func(_ reactor.Protocol, err error) { refused = err })
			})
			if err := n.Run(5 * time.Second); err != nil {
				t.Fatal(err)
			}
			switch {
			case first != nil, abstract != nil:
				t.Errorf("UNIX-10, UNIX-2: %s: %v, %v", what, first, abstract)
			case !errors.Is(again, kernel.ErrLocked):
				t.Errorf("UNIX-9: %s: %v", what, again)
			case !errors.Is(plain, kernel.ErrAddrInUse), !errors.Is(refused, kernel.ErrRefused):
				t.Errorf("UNIX-3, UNIX-12: %s: listening %v, dialling %v", what, plain, refused)
			}
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// lossy notes why it was lost.
type lossy struct {
	reactor.Base
	got  string
	lost *error
}

func (l *lossy) DataReceived(p []byte)    { l.got += string(p) }
func (l *lossy) ConnectionLost(err error) { *l.lost = err }

// Neither faults of the network nor its latency touch a UNIX socket: what is sent is there.
func TestUNIXNoNetwork(t *testing.T) {
	n := sim.New(1)
	h := n.Host("a")
	n.SetDrop("a", "a", 1)
	n.SetLatency("a", "a", time.Hour, time.Hour)
	var lost error
	srv, cli := &lossy{lost: &lost}, new(sender)
	n.At(0, func() {
		h.Reactor.Listen(kernel.UNIXAddr("/run/s"), reactor.One(srv), nil)
		h.Reactor.Dial(kernel.UNIXAddr("/run/s"), reactor.One(cli), nil, nil)
	})
	n.At(time.Second, func() { cli.T.Write([]byte("hello")); cli.T.Close() })
	if err := n.Run(2 * time.Second); err != nil {
		t.Fatal(err)
	}
	if srv.got != "hello" || lost != io.EOF {
		t.Errorf("got %q, lost with %v", srv.got, lost)
	}
	n.Close()
}
