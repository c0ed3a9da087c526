//go:build !race

package reactor_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A kernel in a wrapper loses nothing: every test of this package passes with a wrapper
// around each kernel, conn and listener. They run in a process of their own, beside the
// others, and this file comes early so that it starts early. Between Start and Wait no
// descriptor comes or goes here, since other tests count them.
func TestWrapped(t *testing.T) {
	if *wrapped {
		t.Skip("these tests are the wrapped ones")
	}
	name := filepath.Join(t.TempDir(), "output")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(os.Args[0], "-wrapped", "-test.timeout=9m") // less than the 10 minutes that go test gives this process
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Parallel()
	if err := cmd.Wait(); err != nil {
		text, _ := os.ReadFile(name)
		t.Errorf("with a wrapper around every kernel: %v\n%s", err, text)
	}
}
