package native

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// limitsHelper is the variable that makes this test binary the process that spawns.
const limitsHelper = "WHORL_TEST_SPAWN_LIMITS"

// Signals to the process group do not disturb a start with limits: it does not hang.
func TestSpawnLimitsUnderSignals(t *testing.T) {
	if os.Getenv(limitsHelper) != "" {
		spawnWithLimits(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSpawnLimitsUnderSignals$")
	cmd.Env = append(os.Environ(), limitsHelper+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() { over <- cmd.Wait() }()
	late := time.After(20 * time.Second)
	often := time.NewTicker(20 * time.Microsecond) // more of them would leave no time for the starts
	defer often.Stop()
	for {
		select {
		case err := <-over:
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			return
		case <-late:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-over
			t.Fatalf("a start hangs: %s", out)
		case <-often.C:
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGWINCH)
		}
	}
}

// spawnWithLimits starts programs for 2 s.
func spawnWithLimits(t *testing.T) {
	b := openWith(t, "epoll")
	limits := []kernel.ResourceLimit{{Resource: unix.RLIMIT_NOFILE, Soft: 64, Hard: 64}}
	starts := 0
	for start := time.Now(); time.Since(start) < 2*time.Second; starts++ {
		x, err := b.Spawn(&kernel.ChildCommand{Path: "/bin/true", Args: []string{"true"}, Limits: limits})
		if err != nil {
			t.Fatal(err)
		}
		e, gone, err := x.Wait()
		for ; !gone; e, gone, err = x.Wait() {
			runtime.Gosched() // a signal would end a wait by the kernel
		}
		if e.Code != 0 || err != nil {
			t.Fatalf("%+v, %v", e, err)
		}
		x.Close()
	}
	if starts == 0 {
		t.Error("nothing was started")
	}
}

// A program with limits has no signal blocked.
func TestSpawnLimitsMask(t *testing.T) {
	b := openWith(t, "epoll")
	limits := []kernel.ResourceLimit{{Resource: unix.RLIMIT_NOFILE, Soft: 64, Hard: 64}}
	// No shell, which would set its mask itself.
	got, e := runChild(t, b, kernel.ChildCommand{Path: "/bin/grep", Args: []string{"grep", "SigBlk:", "/proc/self/status"}, Limits: limits})
	if got != "SigBlk:\t0000000000000000\n" || e.Code != 0 {
		t.Errorf("%q, %+v", got, e)
	}
}
