package tlsio_test

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// PROD-2: a producer that is registered when the transport below can send no more, but has input left, is stopped at once.
func TestRegisterAfterFailedWrite(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) { registerAfterFailedWrite(t, w, true) })
		t.Run(name+"/without another before", func(t *testing.T) { registerAfterFailedWrite(t, w, false) })
	}
}

func registerAfterFailedWrite(t *testing.T, w testworld.World, another bool) {
	f := &testworld.Faults{}
	r := testworld.New(t, f.Wrap(w.Open(t)), reactor.Config{})
	s := &stage{t: t, srv: r, cli: r, addr: loopback(), until: func(cond func() bool) { t.Helper(); testworld.Until(t, cond, r) }}
	srv, cli := new(end), new(end)
	s.secure(tls.VersionTLS13, srv, cli)
	s.until(func() bool { return srv.saw("shaken") && cli.saw("shaken") })
	testworld.Turns(t, r, 5)
	srv.c.PauseProducing()
	cli.c.Write([]byte("unread"))
	testworld.Turns(t, r, 5)
	f.Write = func() error { return kernel.ErrReset }
	first, second := new(eager), new(eager)
	if another {
		if err := srv.c.RegisterProducer(first); err != nil {
			t.Fatal(err)
		}
	}
	srv.c.Write([]byte(strings.Repeat("x", 100)))
	testworld.Turns(t, r, 5)
	if first.stopped != another {
		t.Fatalf("the producer before was stopped: %v", first.stopped)
	}
	if srv.lost() {
		t.Fatalf("lost for %v, with input left", srv.err)
	}
	if err := srv.c.RegisterProducer(second); err != nil || !second.stopped {
		t.Errorf("PROD-2: %v, stopped: %v", err, second.stopped)
	}
	srv.c.ResumeProducing()
	s.until(srv.lost)
	cli.c.Abort()
	s.until(cli.lost)
}
