package whorl_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// The example of docs/serve.md: a path has one server, whose file has the mode that was asked for
// (UNIX-1, UNIX-9), and a client that checks the lock is connected as long as the server listens (UNIX-13).
func TestServeUNIX(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World, r *reactor.Reactor) {
		dir, err := os.MkdirTemp("", "whorl") // t.TempDir may be too long for a socket
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		path := filepath.Join(dir, "s")
		port, err := listenLocked(r, path, reactor.Each[Upper]())
		if err != nil {
			t.Fatal(err)
		}
		if !w.Simulated() {
			if at, err := os.Stat(path); err != nil || at.Mode().Perm() != 0o660 {
				t.Errorf("UNIX-1: %v, %v", at, err)
			}
		}
		if _, err := listenLocked(r, path, reactor.Each[Upper]()); !errors.Is(err, kernel.ErrLocked) {
			t.Errorf("UNIX-9: a second server: %v", err)
		}
		dial := func() (failed error) {
			ended := false
			dialLocked(r, path, reactor.Each[Upper](), func(p reactor.Protocol, err error) { ended, failed = true, err })
			for !ended {
				if err := r.Turn(-1); err != nil {
					t.Fatal(err)
				}
			}
			return failed
		}
		if err := dial(); err != nil {
			t.Errorf("UNIX-13: %v", err)
		}
		port.StopListening(nil)
		if err := dial(); !errors.Is(err, kernel.ErrNotLocked) {
			t.Errorf("UNIX-13: nobody listens: %v", err)
		}
	})
}
