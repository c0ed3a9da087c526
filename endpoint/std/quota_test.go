package std_test

import (
	"strings"
	"testing"
	"time"

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
		for end := r.Now() + time.Second; r.Now() < end; {
			r.Turn(time.Second)
		}
		fail()
		until(t, r, func() bool { return srv.log.count() > 10 })
		if text := srv.log.String(); strings.Count(text, " notLogged=") != 1 || !strings.HasSuffix(text, " notLogged=20\n") {
			t.Errorf("logged\n%s", text)
		}
	}
}
