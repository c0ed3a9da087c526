//go:build !race

package reactor_test

import (
	"os"
	"os/exec"
	"testing"
)

// A kernel in a wrapper loses nothing: every test of this package passes with a wrapper
// around each kernel, conn and listener. They run in a process of their own, beside the
// others.
func TestWrapped(t *testing.T) {
	if *wrapped {
		t.Skip("these tests are the wrapped ones")
	}
	t.Parallel()
	out, err := exec.Command(os.Args[0], "-wrapped", "-test.timeout=5m").CombinedOutput()
	if err != nil {
		t.Errorf("with a wrapper around every kernel: %v\n%s", err, out)
	}
}
