package lockfile_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/internal/lockfile"
	"golang.org/x/sys/unix"
)

// LOCK-1: a process that was killed is dead, also while its parent has not asked for its status.
func TestZombie(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	pid := cmd.Process.Pid
	name := filepath.Join(t.TempDir(), "x.lock")
	linkTo(t, name, pid)
	if got, err := lockfile.Holder(name); got != pid || err != nil {
		t.Errorf("LOCK-1: the live process %d holds it: %d, %v", pid, got, err)
	}
	cmd.Process.Kill()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(pid, 0); err != nil {
		t.Fatal("no zombie", err)
	}
	if got, err := lockfile.Holder(name); got != 0 || err != nil {
		t.Errorf("LOCK-1: the zombie %d holds it: %d, %v", pid, got, err)
	}
	if l, err := lockfile.Take(name, never); err != nil || l.Clean {
		t.Errorf("LOCK-1: a lock of a zombie: %+v, %v", l, err)
	}
	if to, _ := os.Readlink(name); to == "" {
		t.Error("no lock file")
	}
}
