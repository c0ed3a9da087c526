package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// watched is a store whose reloader lives in virtual time.
type watched struct {
	*tlsio.Reloader
	t       *testing.T
	net     *sim.Net
	store   *certs.Store
	changes []certs.Change
	log     bytes.Buffer
}

// watch looks at the files every 30 s, and uses what stays the same for one.
func watch(t *testing.T, o certs.StoreOptions) *watched {
	t.Helper()
	if o.Time == nil {
		o.Time = tlstest.Time
	}
	store, err := certs.Load(&o)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{t: t, net: sim.New(1), store: store}
	t.Cleanup(func() { w.net.Close() })
	w.Reloader = tlsio.NewReloader(w.net.Host("srv").Reactor, store, &tlsio.ReloadConfig{
		Logger:  slog.New(slog.NewTextHandler(&w.log, nil)),
		Changed: func(c certs.Change) { w.changes = append(w.changes, c) },
	})
	return w
}

// pass lets time pass and returns what changed in it.
func (w *watched) pass(d time.Duration) []certs.Change {
	w.t.Helper()
	w.changes = nil
	if err := w.net.Run(d); err != nil {
		w.t.Fatal(err)
	}
	return w.changes
}

// serves asserts which certificates are in use, by their serial numbers.
func (w *watched) serves(want ...tls.Certificate) {
	w.t.Helper()
	var got []string
	for _, c := range w.store.Certificates() {
		got = append(got, certs.Describe(c.Leaf))
	}
	var expected []string
	for _, c := range want {
		expected = append(expected, certs.Describe(c.Leaf))
	}
	if !slices.Equal(got, expected) {
		w.t.Fatalf("in use:\n%q\nwant:\n%q", got, expected)
	}
}

// TestReload: a changed file is used after it has stayed the same for Settle, by new
// handshakes, and without a look in between nothing happens.
func TestReload(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	dir := t.TempDir()
	old, fresh := ca.Leaf("example.com"), ca.Renewed("example.com")
	path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(old))
	w := watch(t, certs.StoreOptions{Sources: []certs.Source{{File: path}}})
	cfg := tlstest.Server(t, certs.ServerOptions{Store: w.store})
	serial := func() string {
		o := tlstest.Handshake(t, cfg, tlstest.Client(t, "example.com", ca, certs.ClientOptions{}))
		o.Shown(t)
		return o.Client.PeerCertificates[0].SerialNumber.String()
	}
	if got := serial(); got != old.Leaf.SerialNumber.String() {
		t.Fatalf("serial %s before", got)
	}
	tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(fresh))
	for _, d := range []time.Duration{30100 * time.Millisecond, 800 * time.Millisecond} {
		if got := w.pass(d); got != nil { // seen at 30 s, not used before 31
			t.Fatalf("too early: %v", got)
		}
		w.Check() // it cannot make that come sooner
		w.Check()
		w.serves(old)
	}
	got := w.pass(200 * time.Millisecond) // nor later
	if len(got) != 1 || got[0].Path != path || got[0].Err != nil || !got[0].Cert.Equal(fresh.Leaf) {
		t.Fatalf("got %v", got)
	}
	w.serves(fresh)
	if got := serial(); got != "77" {
		t.Errorf("serial %s after", got)
	}
	if s := w.Stats(); s != (tlsio.ReloadStats{Checks: 6, Changes: 1}) {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(w.log.String(), "certificate loaded") || !strings.Contains(w.log.String(), path) {
		t.Errorf("log: %s", w.log.String())
	}
	if got := w.pass(time.Hour); got != nil {
		t.Errorf("nothing changed, and yet %v", got)
	}
}

// TestReloadByContent: a file that was only touched has not changed, and one whose time
// and size are as before has.
func TestReloadByContent(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	dir := t.TempDir()
	numbered := func(n int64) tls.Certificate {
		return ca.Issue(func(c *x509.Certificate) { c.SerialNumber.SetInt64(n) }, "example.com")
	}
	old, fresh := numbered(1), numbered(2)
	path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(old))
	at := time.Unix(1e9, 0)
	touch := func(at time.Time) {
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	touch(at)
	w := watch(t, certs.StoreOptions{Sources: []certs.Source{{File: path}}})
	touch(at.Add(time.Hour))
	if got := w.pass(time.Minute + time.Second); got != nil {
		t.Errorf("touched: %v", got)
	}
	if len(tlstest.BothPEM(old)) != len(tlstest.BothPEM(fresh)) {
		t.Fatal("the files must be of one size")
	}
	tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(fresh))
	touch(at.Add(time.Hour))
	w.pass(time.Minute)
	w.serves(fresh)
}

// TestReloadKeepsTheOld: what is broken never serves, is told once, and serves when it
// has been mended.
func TestReloadKeepsTheOld(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	old, fresh := ca.Leaf("example.com"), ca.Renewed("example.com")
	whole := tlstest.BothPEM(fresh)
	for _, test := range []struct {
		name  string
		data  []byte // nil: the file goes away
		want  error
		again int // how often it is told in an hour
	}{
		{"missing", nil, fs.ErrNotExist, 1},
		{"empty", []byte{}, certs.ErrEmpty, 1},
		{"half", whole[:len(whole)/2], certs.ErrNotPEM, 1},
		{"without key", tlstest.CertPEM(fresh.Certificate...), certs.ErrNoKey, 1},
		{"wrong key", append(tlstest.CertPEM(fresh.Certificate...), tlstest.KeyPEM(ca.Key)...), certs.ErrKeyMismatch, 1},
		{"expired", tlstest.BothPEM(ca.Expired("example.com")), certs.ErrExpired, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(old))
			w := watch(t, certs.StoreOptions{Sources: []certs.Source{{File: path}}})
			if test.data == nil {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				tlstest.WriteFile(t, dir, "server.pem", test.data)
			}
			got := w.pass(time.Hour)
			w.serves(old)
			if len(got) != test.again || !errors.Is(got[0].Err, test.want) || got[0].Path != path || got[0].Cert != nil {
				t.Fatalf("got %v, want %v once", got, test.want)
			}
			if s := w.Stats(); s.Refused != 1 || s.Changes != 0 {
				t.Errorf("%+v", s)
			}
			if !strings.Contains(w.log.String(), "refused") || !strings.Contains(w.log.String(), test.want.Error()) && test.data != nil {
				t.Errorf("log: %s", w.log.String())
			}
			tlstest.WriteFile(t, dir, "server.pem", whole)
			if got := w.pass(time.Minute); len(got) != 1 || got[0].Err != nil {
				t.Errorf("mended: %v", got)
			}
			w.serves(fresh)
		})
	}
}

// TestReloadHalfWritten: a file that grows while it is looked at, by any step, is never
// used before it is whole, and nobody is told of the halves.
func TestReloadHalfWritten(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	mid := ca.Intermediate("mid")
	old, fresh := ca.Leaf("example.com"), mid.Leaf("example.com")
	// The worst order: what stands before the chain is a good file by itself.
	whole := slices.Concat(tlstest.KeyPEM(fresh.PrivateKey), tlstest.CertPEM(fresh.Certificate...))
	dir := t.TempDir()
	path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(old))
	w := watch(t, certs.StoreOptions{Sources: []certs.Source{{File: path}}})
	w.Check()
	for n := 0; n < len(whole); n += 11 {
		tlstest.WriteFile(t, dir, "server.pem", whole[:n])
		if got := w.pass(900 * time.Millisecond); got != nil {
			t.Fatalf("after %d bytes: %v", n, got)
		}
		w.Check()
		w.serves(old)
	}
	tlstest.WriteFile(t, dir, "server.pem", whole)
	w.pass(3 * time.Second)
	w.serves(fresh)
	if got := w.store.Certificates()[0]; len(got.Certificate) != 2 {
		t.Errorf("a chain of %d", len(got.Certificate))
	}
}

// TestReloadPair: a certificate and a key in two files are replaced one after the other;
// in between the old ones stay.
func TestReloadPair(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	old := ca.Leaf("example.com")
	fresh := ca.IssueFor(tlstest.KeyOf("new"), "example.com")
	dir := t.TempDir()
	src := certs.Source{
		File:    tlstest.WriteFile(t, dir, "cert.pem", tlstest.CertPEM(old.Certificate...)),
		KeyFile: tlstest.WriteFile(t, dir, "key.pem", tlstest.KeyPEM(old.PrivateKey)),
	}
	w := watch(t, certs.StoreOptions{Sources: []certs.Source{src}})
	tlstest.WriteFile(t, dir, "cert.pem", tlstest.CertPEM(fresh.Certificate...))
	got := w.pass(time.Hour)
	if len(got) != 1 || !errors.Is(got[0].Err, certs.ErrKeyMismatch) {
		t.Fatalf("got %v", got)
	}
	w.serves(old)
	tlstest.WriteFile(t, dir, "key.pem", tlstest.KeyPEM(fresh.PrivateKey))
	w.pass(time.Minute)
	w.serves(fresh)
}

// TestReloadDirectory: files that come are added and files that go are removed, each for
// itself; a directory that is empty or gone changes nothing.
func TestReloadDirectory(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	dir := t.TempDir()
	a, b, c, first := ca.Leaf("a.example"), ca.Leaf("b.example"), ca.Leaf("c.example"), ca.Leaf("first.example")
	tlstest.WriteFile(t, dir, "a.pem", tlstest.BothPEM(a))
	tlstest.WriteFile(t, dir, "c.pem", tlstest.BothPEM(c))
	apart := ca.Leaf("apart.example")
	file := tlstest.WriteFile(t, t.TempDir(), "apart.pem", tlstest.BothPEM(apart))
	w := watch(t, certs.StoreOptions{Sources: []certs.Source{{Certificate: &first}, {Dir: dir}, {File: file}}})
	w.serves(first, a, c, apart)
	tlstest.WriteFile(t, dir, "b.pem", tlstest.BothPEM(b))
	broken := tlstest.WriteFile(t, dir, "broken.pem", []byte("-----BEGIN"))
	got := w.pass(40 * time.Second)
	w.serves(first, a, b, c, apart) // the broken one keeps nobody else out
	if len(got) != 2 || !got[0].Cert.Equal(b.Leaf) || got[1].Path != broken || !errors.Is(got[1].Err, certs.ErrNotPEM) {
		t.Fatalf("got %v", got)
	}
	for _, name := range []string{"a.pem", "broken.pem"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.pass(time.Minute); len(got) != 1 || got[0].Cert != nil || got[0].Err != nil || filepath.Base(got[0].Path) != "a.pem" {
		t.Fatalf("removed: %v", got)
	}
	w.serves(first, b, c, apart)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if got := w.pass(time.Hour); len(got) != 1 || !errors.Is(got[0].Err, fs.ErrNotExist) || got[0].Path != dir {
		t.Fatalf("directory gone: %v", got)
	}
	w.serves(first, b, c, apart)
	apart2 := ca.Renewed("apart.example")
	tlstest.WriteFile(t, filepath.Dir(file), "apart.pem", tlstest.BothPEM(apart2))
	w.pass(time.Minute)
	w.serves(first, b, c, apart2) // another source changes, and the directory's stay
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := w.pass(time.Hour); len(got) != 1 || !errors.Is(got[0].Err, certs.ErrNoCertificate) {
		t.Fatalf("directory empty: %v", got)
	}
	w.serves(first, b, c, apart2)
	tlstest.WriteFile(t, dir, "a.pem", tlstest.BothPEM(a))
	w.pass(time.Minute)
	w.serves(first, a, apart2) // b and c did not come back
}

// TestReloadExpiredLater: a certificate whose time has not come is used when it comes.
func TestReloadExpiredLater(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	old, future := ca.Leaf("example.com"), ca.Future("example.com")
	dir := t.TempDir()
	path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(old))
	now := tlstest.Time()
	w := watch(t, certs.StoreOptions{Sources: []certs.Source{{File: path}}, Time: func() time.Time { return now }})
	tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(future))
	w.pass(time.Minute)
	w.serves(old)
	now = now.AddDate(0, 0, 2)
	w.pass(time.Minute)
	w.serves(future)
}

// TestReloadStop: after Stop nothing is looked at or changed, also by Check.
func TestReloadStop(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	old, fresh := ca.Leaf("example.com"), ca.Renewed("example.com")
	dir := t.TempDir()
	path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(old))
	w := watch(t, certs.StoreOptions{Sources: []certs.Source{{File: path}}})
	tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(fresh))
	w.pass(30500 * time.Millisecond) // seen, and about to be used
	w.Stop()
	w.Stop()
	w.Check()
	if got := w.pass(time.Hour); got != nil {
		t.Errorf("got %v", got)
	}
	w.serves(old)
	if n := len(w.net.Host("srv").Reactor.DelayedCalls()); n != 0 {
		t.Errorf("%d delayed calls left", n)
	}
	if s := w.Stats(); s.Checks != 1 {
		t.Errorf("%+v", s)
	}
	defer func() {
		if recover() == nil {
			t.Error("a second reloader for one store")
		}
	}()
	tlsio.NewReloader(w.net.Host("srv").Reactor, w.store, nil)
}

// TestReloadInPool: on every kernel the files are read off the loop, and what was found
// comes home to it; a Stop in between wins.
func TestReloadInPool(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	old, fresh := ca.Leaf("example.com"), ca.Renewed("example.com")
	for name, world := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(old))
			store, err := tlstest.Load(certs.Source{File: path})
			if err != nil {
				t.Fatal(err)
			}
			r := world.New(t, reactor.Config{})
			var got []certs.Change
			l := tlsio.NewReloader(r, store, &tlsio.ReloadConfig{Every: time.Millisecond, Settle: time.Millisecond,
				Changed: func(c certs.Change) { got = append(got, c) }})
			tlstest.WriteFile(t, dir, "new", tlstest.BothPEM(fresh))
			if err := os.Rename(filepath.Join(dir, "new"), path); err != nil {
				t.Fatal(err)
			}
			testworld.Until(t, func() bool { return len(got) > 0 }, r)
			if !got[0].Cert.Equal(fresh.Leaf) || !store.Certificates()[0].Leaf.Equal(fresh.Leaf) {
				t.Fatalf("got %v", got)
			}
			l.Check()
			l.Stop()
			after := l.Stats().Checks
			finished := false
			reactor.InThread(r, func() (int, error) { return 0, nil }, func(int, error) { finished = true })
			testworld.Until(t, func() bool { return finished }, r)
			if n := l.Stats().Checks; n != after {
				t.Errorf("%d looks after Stop", n-after)
			}
		})
	}
}

// TestReloadCheckTwice: a Check reads nothing by itself, and one during a look asks for
// one more.
func TestReloadCheckTwice(t *testing.T) {
	cert := tlstest.NewAuthority("ca").Leaf("example.com")
	for name, world := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			store, err := tlstest.Load(certs.Source{File: tlstest.WriteFile(t, t.TempDir(), "server.pem", tlstest.BothPEM(cert))})
			if err != nil {
				t.Fatal(err)
			}
			r := world.New(t, reactor.Config{})
			l := tlsio.NewReloader(r, store, &tlsio.ReloadConfig{Every: -1})
			for range 3 {
				l.Check()
			}
			if n := l.Stats().Checks; n != 0 {
				t.Errorf("%d looks inside Check", n)
			}
			testworld.Until(t, func() bool { return l.Stats().Checks == 2 }, r)
			if len(r.DelayedCalls()) != 0 {
				t.Error("a third look is to come")
			}
		})
	}
}

// TestReloadDuringHandshakes: handshakes on other goroutines see the old or the new, and
// the race detector sees nothing.
func TestReloadDuringHandshakes(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	dir := t.TempDir()
	path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(ca.Leaf("example.com")))
	w := watch(t, certs.StoreOptions{Sources: []certs.Source{{File: path}}})
	stop, done := make(chan struct{}), make(chan error)
	go func() {
		for {
			c, err := w.store.GetCertificate(&tls.ClientHelloInfo{ServerName: "example.com"})
			if err == nil && c.Leaf.Subject.CommonName != "example.com" {
				err = fmt.Errorf("got %v", c.Leaf.Subject)
			}
			select {
			case <-stop:
				done <- err
				return
			default:
				if err != nil {
					done <- err
					return
				}
			}
		}
	}()
	for i := range 20 {
		tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(ca.Issue(func(c *x509.Certificate) { c.SerialNumber.SetInt64(int64(i + 1)) }, "example.com")))
		w.pass(time.Minute)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if s := w.Stats(); s.Changes != 20 {
		t.Errorf("%+v", s)
	}
}

// TestReloadByHand: with a negative Every only Check looks, and with a negative Settle
// what it finds is used at once.
func TestReloadByHand(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	dir := t.TempDir()
	old, fresh := ca.Leaf("example.com"), ca.Renewed("example.com")
	path := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(old))
	store, err := tlstest.Load(certs.Source{File: path})
	if err != nil {
		t.Fatal(err)
	}
	n := sim.New(1)
	defer n.Close()
	r := n.Host("srv").Reactor
	l := tlsio.NewReloader(r, store, &tlsio.ReloadConfig{Every: -1, Settle: -1})
	tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(fresh))
	if err := n.Run(time.Hour); err != nil {
		t.Fatal(err)
	}
	if !store.Certificates()[0].Leaf.Equal(old.Leaf) {
		t.Error("looked unasked")
	}
	l.Check()
	if err := n.Run(time.Second); err != nil { // reading takes virtual time
		t.Fatal(err)
	}
	if !store.Certificates()[0].Leaf.Equal(fresh.Leaf) {
		t.Error("not used at once")
	}
	if n := len(r.DelayedCalls()); n != 0 {
		t.Errorf("%d delayed calls", n)
	}
}

// Stop inside Changed is the end of the calls: the other changes of the same look, which are in use already, are in the log alone.
func TestReloadStopInChanged(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	dir := t.TempDir()
	var sources []certs.Source
	for _, name := range []string{"one", "two"} {
		path := tlstest.WriteFile(t, dir, name+".pem", tlstest.BothPEM(ca.Leaf(name+".test")))
		sources = append(sources, certs.Source{File: path})
	}
	store, err := certs.Load(&certs.StoreOptions{Sources: sources, Time: tlstest.Time})
	if err != nil {
		t.Fatal(err)
	}
	n := sim.New(1)
	t.Cleanup(func() { n.Close() })
	var l *tlsio.Reloader
	var log bytes.Buffer
	calls := 0
	l = tlsio.NewReloader(n.Host("srv").Reactor, store, &tlsio.ReloadConfig{
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
		Changed: func(certs.Change) { calls++; l.Stop() },
	})
	for _, name := range []string{"one", "two"} {
		tlstest.WriteFile(t, dir, name+".pem", tlstest.BothPEM(ca.Renewed(name+".test")))
	}
	if err := n.Run(time.Minute); err != nil {
		t.Fatal(err)
	}
	if loaded := strings.Count(log.String(), "certificate loaded"); calls != 1 || loaded != 2 {
		t.Errorf("Changed was called %d times, %d certificates are in the log", calls, loaded)
	}
}
