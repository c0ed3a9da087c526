package native

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
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

// Signals to the process group do not disturb a start with limits: it does not hang, whatever stops the child before its exec.
func TestSpawnLimitsUnderSignals(t *testing.T) {
	if os.Getenv(limitsHelper) != "" {
		spawnWithLimits(t)
		return
	}
	for _, signals := range [][]syscall.Signal{{syscall.SIGWINCH}, {syscall.SIGSTOP, syscall.SIGCONT}, {syscall.SIGTRAP}} {
		t.Run(signals[0].String(), func(t *testing.T) { underSignals(t, signals) })
	}
}

func underSignals(t *testing.T, signals []syscall.Signal) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestSpawnLimitsUnderSignals$")
	cmd.Env = append(os.Environ(), limitsHelper+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	ready, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	cmd.ExtraFiles = []*os.File{w}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	_, _ = ready.Read(make([]byte, 1)) // it takes SIGTRAP now
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
			for _, s := range signals {
				_ = syscall.Kill(-cmd.Process.Pid, s)
			}
		}
	}
}

// spawnWithLimits starts programs for a second. SIGTRAP may end them, before their exec too.
func spawnWithLimits(t *testing.T) {
	taken := make(chan os.Signal, 1)
	signal.Notify(taken, syscall.SIGTRAP)
	ready := os.NewFile(3, "ready")
	ready.Write([]byte("."))
	ready.Close()
	b := openWith(t, "epoll")
	limits := []kernel.ResourceLimit{{Resource: unix.RLIMIT_NOFILE, Soft: 64, Hard: 64}}
	starts, trapped := 0, false
	for start := time.Now(); time.Since(start) < time.Second; starts++ {
		x, err := b.Spawn(&kernel.ChildCommand{Path: "/bin/true", Args: []string{"true"}, Limits: limits})
		if errors.Is(err, kernel.ErrExited) && !trapped {
			select { // the signal that has ended the child is this process' too, but it may be told later
			case <-taken:
				trapped = true
			case <-time.After(5 * time.Second):
			}
		}
		if errors.Is(err, kernel.ErrExited) && trapped {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		e, gone, err := x.Wait()
		for ; !gone; e, gone, err = x.Wait() {
			runtime.Gosched() // a signal would end a wait by the kernel
		}
		if e.Code != 0 && e.Signal != syscall.SIGTRAP || err != nil {
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
