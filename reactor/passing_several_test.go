package reactor_test

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// Of several descriptors in one message, those behind one in whose callback the protocol pauses come when it resumes, and
// before the data (FDP-5, TCP-64). Those behind one in whose callback the connection ends are closed (TCP-77, X-5).
func TestDescriptorsOfOneMessage(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		for _, what := range []string{"nothing", "pause", "abort"} {
			r := w.New(t, reactor.Config{})
			var srv passer
			o := &reactor.ListenConfig{}
			o.Descriptors = true
			port, err := r.Listen(socketName(t), one(&srv), o)
			if err != nil {
				t.Fatal(err)
			}
			k := w.Open(t) // of the peer
			l, err := k.Listen(loopback, nil)
			if err != nil {
				t.Fatal(err)
			}
			c, err := k.Dial(port.Addr(), &kernel.DialOptions{StreamOptions: kernel.StreamOptions{Descriptors: true}})
			if err != nil {
				t.Fatal(err)
			}
			numbers := must(kernel.As[kernel.Descriptors](k))
			fd, err := numbers.DescriptorOf(l)
			if err != nil {
				t.Fatal(err)
			}
			srv.onFD = func(int) {
				switch what {
				case "pause":
					srv.s.PauseProducing()
				case "abort":
					srv.s.Abort()
				}
			}
			if n, err := must(kernel.ConnAs[kernel.Passing](c)).WriteDescriptors([]byte("x"), []int{fd, fd, fd}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			at := l.Local()
			l.Close()
			if err := numbers.CloseDescriptor(fd); err != nil {
				t.Fatal(err)
			}
			until(t, r, func() bool { return len(srv.fds) > 0 })
			testworld.Turns(t, r, 5)
			if n, want := len(srv.fds), map[string]int{"nothing": 3, "pause": 1, "abort": 1}[what]; n != want {
				t.Errorf("FDP-5, TCP-64, TCP-77: %s: %d descriptors were delivered, not %d", what, n, want)
			}
			if what == "pause" {
				srv.onFD = func(int) {
					if len(srv.got) > 0 {
						t.Error("FDP-4: the data came first")
					}
				}
				srv.s.ResumeProducing()
				until(t, r, func() bool { return len(srv.fds) == 3 && string(srv.got) == "x" })
			}
			closeNumber(t, r, srv.fds...)
			if listens(t, r, at) {
				t.Errorf("X-5: %s: a descriptor is left", what)
			}
			c.Close()
			srv.s.Abort()
			until(t, r, func() bool { return srv.err != nil })
			port.StopListening(nil)
			testworld.Turns(t, r, 3)
			k.Close()
		}
	})
}

// A producer that was paused because of descriptors stays so while too many are queued, however few bytes are (FDP-8).
func TestDescriptorsKeepPaused(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		fd, _ := number(t, r)
		var cli, srv passer
		join(t, r, &cli, &srv, reactor.StreamConfig{})
		srv.s.PauseProducing()
		for cli.s.Buffered() == 0 { // until the system takes no more
			cli.s.Write(make([]byte, 500))
			testworld.Turns(t, r, 1)
		}
		var p source
		cli.s.RegisterProducer(&p)
		for range 70 {
			cli.s.SendDescriptor(fd)
		}
		cli.s.Write(make([]byte, 70))
		testworld.Turns(t, r, 5)
		if !p.heard("pause") {
			t.Errorf("FDP-8: with %d bytes and 70 descriptors queued, the producer was told %v", cli.s.Buffered(), p.told)
		}
		srv.s.ResumeProducing()
		until(t, r, func() bool { return p.heard("pause", "resume") && len(srv.fds) == 70 })
		cli.s.Abort()
		until(t, r, func() bool { return srv.err != nil })
		closeNumber(t, r, append(srv.fds, fd)...)
	})
}
