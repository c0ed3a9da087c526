package std_test

import (
	"strings"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// Peers cannot fill the log: of many failed handshakes some are told, and how many were
// not.
func TestTLSFloodOfFailures(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "127.0.0.1")
	for _, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue // it is a matter of time, not of the kernel
		}
		r := w.New(t, reactor.Config{})
		srv := listenTLS(t, r, describe("tls", "0", both, "interface=127.0.0.1"))
		fail := func() {
			var f site
			var got result
			client(t, at("tcp", srv.Listener)).Connect(r, &f, got.done)
			until(t, r, func() bool { return got.calls > 0 })
			f.built[0].T.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
			until(t, r, func() bool { return f.built[0].lost != nil })
		}
		for range 30 {
			fail()
		}
		if n := srv.log.count(); n != 10 {
			t.Errorf("%d of 30 failures were logged", n)
		}
		// the last comes when the second is over, with the number of those between.
		until(t, r, func() bool { return srv.log.count() > 10 })
		if text := srv.log.String(); srv.log.count() != 11 || !strings.HasSuffix(text, " unlogged=19\n") {
			t.Errorf("logged\n%s", text)
		}
	}
}

// a program that connects without verification as often as its own clients ask it to, such
// as a forwarder, does not fill the log with warnings.
func TestUnverifiedWarningsAreBounded(t *testing.T) {
	for _, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue // it is a matter of time, not of the kernel
		}
		r := w.New(t, reactor.Config{})
		var said lines
		e, err := said.with().Client(describe("ssl", "127.0.0.1", "443", "verify=none"))
		if err != nil {
			t.Fatal(err)
		}
		var got result
		for range 30 {
			e.Connect(r, new(site), got.done)()
		}
		if said.count() != 10 {
			t.Errorf("%d of 30 warnings at once", said.count())
		}
		until(t, r, func() bool { return got.calls == 30 && said.count() > 10 })
		if said.count() != 11 || !strings.Contains(said.String(), "the peer may be anybody") || !strings.HasSuffix(said.String(), " unlogged=19\n") {
			t.Errorf("logged\n%s", said.String())
		}
	}
}
