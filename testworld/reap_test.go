//go:build linux

package testworld_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/testworld"
)

// signalMasks are the lines of /proc/self/status about signals.
func signalMasks(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "SigIgn") || strings.HasPrefix(line, "SigCgt") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// start starts a child that nobody waits for.
func start(t testing.TB, name string, args ...string) int {
	t.Helper()
	c := exec.Command(name, args...)
	if err := c.Start(); err != nil {
		t.Skipf("%v", err)
	}
	return c.Process.Pid
}

// gone tells whether there is no such child any more, not even a zombie.
func gone(pid int) bool {
	_, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return err == syscall.ECHILD
}

// TST-24: children that a test leaves are reaped, and killed after 60 s, here less. Those from before are left alone, and so is the handling
// of signals.
func TestTST24Reap(t *testing.T) {
	before, masks := start(t, "sleep", "1000"), signalMasks(t)
	defer func() {
		syscall.Kill(before, syscall.SIGKILL)
		syscall.Wait4(before, nil, 0, nil)
	}()
	exits, stays := 0, 0
	got := ended(t, func(t testing.TB) {
		testworld.ReapWithin(t, 5*time.Second)
		exits = start(t, "true")
	})
	if len(got) != 0 || !gone(exits) {
		t.Errorf("TST-24: %q, gone: %v", got, gone(exits))
	}
	got = ended(t, func(t testing.TB) {
		testworld.ReapWithin(t, 20*time.Millisecond)
		stays = start(t, "sleep", "1000")
	})
	if len(got) != 1 || !strings.Contains(got[0], "was killed after 20ms") || !gone(stays) {
		t.Errorf("TST-24: %q, gone: %v", got, gone(stays))
	}
	if gone(before) {
		t.Error("TST-24: a child from before was reaped")
	}
	if now := signalMasks(t); now != masks {
		t.Errorf("TST-24: signals were handled as\n%s, and are as\n%s", masks, now)
	}
	if testworld.ReapLimit != 60*time.Second {
		t.Errorf("TST-24: the limit is %v", testworld.ReapLimit)
	}
}
