//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/internal/notifytest"
)

// managed starts the tool as a service manager does.
func managed(t *testing.T, m *notifytest.Manager, binary string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(binary, append([]string{"--quiet"}, args...)...)
	c.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.Path, "WATCHDOG_USEC=600000")
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return c
}

// SVC-30, SVC-31, SVC-35: every server of the tool tells the service manager when it is ready, lives, reloads and ends, and ends with status 0.
func TestToolNotifies(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"echo", "tcp:0:interface=127.0.0.1"},
		{"echo", "udp:0"},
		{"discard", "tcp:0", "unix:" + dir + "/d"},
		{"chargen", "unix:" + dir + "/c"},
		{"forward", "unix:" + dir + "/f", "tcp:127.0.0.1:1"},
		{"forward", "udp:0", "udp:127.0.0.1:1"},
		{"exec", "unix:" + dir + "/e", "--", "sh", "-c", "echo [$NOTIFY_SOCKET$WATCHDOG_USEC]"},
	} {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			t.Parallel()
			m := notifytest.New(t)
			c := managed(t, m, "whorl", args...)
			m.Until("READY=1 STATUS=serving ")
			m.Until("WATCHDOG=1")
			if args[0] == "exec" { // SYSD-3: its children do not speak for it
				conn, err := net.Dial("unix", dir+"/e")
				if err != nil {
					t.Fatal(err)
				}
				if out, err := io.ReadAll(conn); string(out) != "[]\n" || err != nil {
					t.Errorf("SYSD-3: a child has %q, %v", out, err)
				}
				conn.Close()
			}
			c.Process.Signal(syscall.SIGHUP)
			m.Until("RELOADING=1 MONOTONIC_USEC=")
			m.Until("READY=1 STATUS=serving ")
			c.Process.Signal(syscall.SIGTERM)
			m.Until("STOPPING=1 ")
			if err := c.Wait(); err != nil {
				t.Error("SVC-35:", err)
			}
		})
	}
}

// SVC-34: a server that is replaced, by whorl upgrade or by SIGHUP and a new binary, names its successor as the main process. That goes on to tell of itself.
func TestToolSucceeds(t *testing.T) {
	for _, how := range []string{"upgrade", "hangup"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			binary, err := exec.LookPath("whorl")
			if err != nil {
				t.Fatal(err)
			}
			own := dir + "/whorl"
			install(t, binary, own)
			args := []string{"echo", "--handover", dir + "/h", "tcp:0:interface=127.0.0.1"}
			m := notifytest.New(t)
			old := managed(t, m, own, args...)
			m.Until("READY=1")
			if how == "upgrade" {
				u := managed(t, m, own, append([]string{"upgrade", dir + "/h", own}, args...)...)
				if err := u.Wait(); err != nil {
					t.Error(err)
				}
			} else {
				install(t, binary, own)
				old.Process.Signal(syscall.SIGHUP)
				m.Until("RELOADING=1")
			}
			said, _ := m.Until("MAINPID=")
			var pid int
			if _, err := fmt.Sscanf(said, "MAINPID=%d READY=1", &pid); err != nil || pid == old.Process.Pid {
				t.Errorf("SVC-34: %q", said)
			}
			ended := false
			defer func() {
				if !ended {
					syscall.Kill(pid, syscall.SIGKILL)
				}
			}()
			if err := old.Wait(); err != nil {
				t.Error(err)
			}
			if all := strings.Join(m.Said(), "\n"); strings.Contains(all, "STOPPING") {
				t.Errorf("SVC-34: after it has named its successor: %q", all)
			}
			m.Until("WATCHDOG=1")
			syscall.Kill(pid, syscall.SIGTERM)
			m.Until("STOPPING=1")
			ended = true
		})
	}
}

// install copies a binary to a path by a rename. Another process does it: if this one wrote the file while it starts a process, that could not be executed.
func install(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("sh", "-c", `cp "$1" "$2.new" && mv "$2.new" "$2"`, "sh", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
