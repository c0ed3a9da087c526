//go:build !race

package reactor_test

import (
	"os"
	"os/exec"
	"testing"
)

// A wrapped kernel loses no capability: every test of this package passes with a wrapper
// around each kernel, conn and listener. They run in another process, at the same time as
// the others.
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
