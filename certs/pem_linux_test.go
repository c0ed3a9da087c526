package certs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

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

// A pipe in the place of a file is refused. It is not opened in a way that waits for a
// writer, although it may get the file's name between the look and the open.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "server.pem")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := tlstest.Load(certs.Source{File: path})
	tlstest.WantError(t, err, certs.ErrFile, path, "it is a pipe; name a regular file")

	// The swap: one goroutine puts the file and the pipe there in turn.
	whole := tlstest.WriteFile(t, dir, "whole.pem", tlstest.BothPEM(tlstest.NewAuthority("ca").Leaf("example.com")))
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			next := filepath.Join(dir, "next")
			from := whole
			if i%2 == 1 {
				from = pipe
			}
			if os.Link(from, next) != nil || os.Rename(next, path) != nil {
				t.Error("cannot swap")
				return
			}
		}
	}()
	loads := make(chan struct{})
	go func() {
		defer close(loads)
		for i := range 20000 {
			if _, err := tlstest.Load(certs.Source{File: path}); err != nil {
				tlstest.WantError(t, err, certs.ErrFile, path, "it is a p")
			}
			if i%100 == 0 {
				loads <- struct{}{}
			}
		}
	}()
	for goesOn := true; goesOn; {
		select {
		case _, goesOn = <-loads:
		case <-time.After(10 * time.Second): // for a hundred, however long all of them take
			t.Error("a read waits for a writer of the pipe")
			if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil { // which lets it go
				f.Close()
			}
			goesOn = false
			go func() { // it may not wait for us
				for range loads {
				}
			}()
		}
	}
	close(stop)
	<-stopped
}
