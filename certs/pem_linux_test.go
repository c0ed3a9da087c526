package certs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
)

// TestPermission: a file that this user may not read is told with what to do. The
// superuser may read everything, so its thread becomes somebody else for the test.
func TestPermission(t *testing.T) {
	path := tlstest.WriteFile(t, t.TempDir(), "server.pem", tlstest.BothPEM(tlstest.NewAuthority("ca").Leaf("example.com")))
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	for _, d := range []string{dir, filepath.Dir(dir)} { // or they refuse first
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and its identity too.
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if _, err := unix.SetfsuidRetUid(65534); err != nil {
				t.Error(err)
			}
		}
		_, err := tlstest.Load(certs.Source{File: path})
		done <- err
	}()
	tlstest.WantError(t, <-done, fs.ErrPermission, path, "let the user of this process read it")
}
