package tlsio_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/tlsio"
)

// GROUP-14: when the loop that looks at the files is lost, another one goes on: before the first look, and when a change was seen and may not
// be used yet. After Stop nobody goes on.
func TestReloadMoves(t *testing.T) {
	for _, after := range []time.Duration{10 * time.Second, 30100 * time.Millisecond} {
		ca := tlstest.NewAuthority("ca")
		dir := t.TempDir()
		old, fresh := ca.Leaf("example.com"), ca.Renewed("example.com")
		path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(old))
		w := watch(t, certs.StoreOptions{Sources: []certs.Source{{File: path}}})
		tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(fresh))
		if got := w.pass(after); got != nil {
			t.Fatalf("too early: %v", got)
		}
		from := w.net.Host("srv")
		from.Reactor.Post(func() {})
		from.Crash()
		to := w.net.Host("other").Reactor
		w.Move(to)
		w.Move(to)
		if n := tlsio.CheckAll(to); n != 1 {
			t.Errorf("GROUP-14: %d places are looked at", n)
		}
		if got := w.pass(35 * time.Second); len(got) != 1 || !got[0].Cert.Equal(fresh.Leaf) {
			t.Fatalf("GROUP-14: lost after %v: %v", after, got)
		}
		w.serves(fresh)
		w.Stop()
		w.Move(w.net.Host("third").Reactor)
		tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(old))
		if got := w.pass(time.Hour); got != nil {
			t.Errorf("after Stop: %v", got)
		}
	}
}
