package certs_test

import (
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
)

// watching is a store of one file, and a watcher of it.
type watching struct {
	*certs.Watcher
	t     *testing.T
	store *certs.Store
	path  string
}

func watch(t *testing.T, settle time.Duration, cert tls.Certificate) *watching {
	t.Helper()
	path := tlstest.WriteFile(t, t.TempDir(), "server.pem", tlstest.BothPEM(cert))
	store, err := tlstest.Load(certs.Source{File: path})
	if err != nil {
		t.Fatal(err)
	}
	return &watching{Watcher: certs.Watch(store, settle), t: t, store: store, path: path}
}

func (w *watching) write(parts ...[]byte) {
	w.t.Helper()
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	if err := os.WriteFile(w.path, all, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// sees asserts how many changes a look has found, and when the next is due.
func (w *watching) sees(now time.Duration, changes int, in time.Duration, soon bool) []certs.Change {
	w.t.Helper()
	got := w.Apply(w.Look(now))
	if len(got) != changes {
		w.t.Fatalf("at %v: %+v, want %d changes", now, got, changes)
	}
	if next, ok := w.Next(now); ok != soon || ok && next != in {
		w.t.Errorf("at %v: the next look is in %v, %v; want %v, %v", now, next, ok, in, soon)
	}
	return got
}

func (w *watching) serves(want tls.Certificate) {
	w.t.Helper()
	if got := w.store.Certificates()[0].Leaf; !got.Equal(want.Leaf) {
		w.t.Errorf("it serves %s, want %s", certs.Describe(got), certs.Describe(want.Leaf))
	}
}

// TestWatch: a change is used when it has stayed the same for long enough, by a clock
// that is the caller's; each change begins to settle anew.
func TestWatch(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	old, fresh := ca.Leaf("example.com"), ca.Renewed("example.com")
	w := watch(t, time.Second, old)
	w.sees(time.Hour, 0, 0, false)
	whole := tlstest.BothPEM(fresh)
	w.write(whole[:100])
	w.sees(time.Hour+1*time.Second, 0, time.Second, true)
	w.write(whole)
	w.sees(time.Hour+1900*time.Millisecond, 0, time.Second, true)
	w.sees(time.Hour+2500*time.Millisecond, 0, 400*time.Millisecond, true)
	w.serves(old)
	got := w.sees(time.Hour+2900*time.Millisecond, 1, 0, false)
	if got[0].Path != w.path || got[0].Err != nil || !got[0].Cert.Equal(fresh.Leaf) {
		t.Errorf("%+v", got[0])
	}
	w.serves(fresh)
}

// TestWatchAtOnce: without a time to settle, one look is enough; what cannot be used is
// reported once, and what was there before stays.
func TestWatchAtOnce(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	old, fresh := ca.Leaf("example.com"), ca.Renewed("example.com")
	w := watch(t, 0, old)
	w.write([]byte("nothing"))
	got := w.sees(0, 1, 0, false)
	if !errors.Is(got[0].Err, certs.ErrNotPEM) {
		t.Error(got[0].Err)
	}
	w.sees(0, 0, 0, false)
	w.serves(old)
	w.write(tlstest.BothPEM(fresh))
	w.sees(0, 1, 0, false)
	w.serves(fresh)
}

// TestWatchNotApplied: a look by itself changes nothing, and what is not applied is
// found again.
func TestWatchNotApplied(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	old, fresh := ca.Leaf("example.com"), ca.Renewed("example.com")
	w := watch(t, 0, old)
	w.write(tlstest.BothPEM(fresh))
	w.Look(0)
	w.serves(old)
	w.sees(0, 1, 0, false)
	w.serves(fresh)
}

// TestWatchTwice: two watchers would undo each other's changes.
func TestWatchTwice(t *testing.T) {
	w := watch(t, 0, tlstest.NewAuthority("ca").Leaf("example.com"))
	defer func() {
		if recover() == nil {
			t.Error("a second watcher for one store")
		}
	}()
	certs.Watch(w.store, 0)
}

// TestWatchDirectoryRenamed: files of a directory that come under other names take the place of those that have gone, but not before they
// can be used: while they are being written, and when they are broken, what has gone stays in use.
func TestWatchDirectoryRenamed(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	a, b, fresh := ca.Leaf("a.example"), ca.Leaf("b.example"), ca.Renewed("a.example")
	dir := t.TempDir()
	tlstest.WriteFile(t, dir, "a.pem", tlstest.BothPEM(a))
	tlstest.WriteFile(t, dir, "b.pem", tlstest.BothPEM(b))
	store, err := tlstest.Load(certs.Source{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	w := &watching{Watcher: certs.Watch(store, time.Second), t: t, store: store, path: filepath.Join(dir, "a-2.pem")}
	serves := func(want ...tls.Certificate) {
		t.Helper()
		if got := store.Certificates(); !slices.EqualFunc(got, want, func(g *tls.Certificate, w tls.Certificate) bool { return g.Leaf.Equal(w.Leaf) }) {
			t.Errorf("it serves %d certificates, want %d others", len(got), len(want))
		}
	}
	for _, name := range []string{"a.pem", "b.pem"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	whole := tlstest.BothPEM(fresh)
	w.write(whole[:100])
	w.sees(1*time.Second, 0, time.Second, true)
	if got := w.sees(2*time.Second, 1, 0, false); !errors.Is(got[0].Err, certs.ErrNotPEM) {
		t.Error(got[0].Err)
	}
	serves(a, b)
	w.sees(time.Hour, 0, 0, false) // nothing is awaited: the directory is looked at as seldom as any
	w.write(whole)
	w.sees(time.Hour+1*time.Second, 0, time.Second, true)
	w.sees(time.Hour+2*time.Second, 1, time.Second, true)
	serves(fresh, a, b)
	w.sees(time.Hour+3*time.Second, 2, 0, false)
	serves(fresh)
}
