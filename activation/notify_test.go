//go:build !windows && !plan9 && !js && !wasip1

package activation

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is a socket at which a test is the service manager.
func manager(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	return c
}

func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

// SYSD-3: the socket and the watchdog are taken out of the environment. The watchdog counts if it is meant for this process.
func TestTakeNotifier(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	manager(t, path)
	for _, c := range []struct {
		socket, usec, pid string
		active            bool
		watchdog          time.Duration
	}{
		{path, "3000000", "100", true, 3 * time.Second},
		{path, "3000000", "", true, 3 * time.Second},
		{path, "3000000", "101", true, 0},
		{path, "3000000", "x", true, 0},
		{path, "", "100", true, 0},
		{path, "0", "", true, 0},
		{path, "-1", "", true, 0},
		{path, "soon", "", true, 0},
		{path, "9223372036854775807", "", true, 0},
		{"", "3000000", "100", false, 0},
	} {
		env := fake{"HOME": "/"}
		for name, v := range map[string]string{"NOTIFY_SOCKET": c.socket, "WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid} {
			if v != "" {
				env[name] = v
			}
		}
		before := maps.Clone(env)
		n := takeNotifier(env)
		if n.Active() != c.active || n.Watchdog() != c.watchdog {
			t.Errorf("SYSD-3: %v: active %v, watchdog %v", before, n.Active(), n.Watchdog())
		}
		if !maps.Equal(env, fake{"HOME": "/"}) {
			t.Errorf("SYSD-3: %v: afterwards %v", before, env)
		}
		if takeNotifier(env).Active() {
			t.Error("SYSD-3: a second call has a manager")
		}
		var want []string
		if c.active {
			want = append(want, "NOTIFY_SOCKET="+path)
		}
		if c.watchdog > 0 {
			want = append(want, "WATCHDOG_USEC=3000000")
		}
		if got := n.Environ(); !slices.Equal(got, want) {
			t.Errorf("SYSD-3: for a successor: %q, want %q", got, want)
		}
		n.Close()
	}
	t.Setenv("NOTIFY_SOCKET", path) // the real environment
	n := TakeNotifier()
	defer n.Close()
	if _, ok := os.LookupEnv("NOTIFY_SOCKET"); ok || !n.Active() {
		t.Error("SYSD-3: the environment of the process")
	}
}

// SYSD-4: a message is a datagram to the socket, by its path or its abstract name. One for which there is no room, or nobody, is an error at once, and the next gets
// through when the manager is back.
func TestNotify(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	for _, path := range []string{path, fmt.Sprintf("@whorl-test-%d", os.Getpid())} {
		if path[0] == '@' && runtime.GOOS != "linux" {
			continue
		}
		n := NewNotifier(path, 0)
		if err := n.Send("READY=1"); err == nil || Full(err) || !strings.Contains(err.Error(), path) {
			t.Errorf("SYSD-4: nobody is there: %v", err)
		}
		c := manager(t, path)
		if err := n.Send("READY=1\nSTATUS=serving"); err != nil || heard(t, c) != "READY=1\nSTATUS=serving" {
			t.Errorf("SYSD-4: %s: %v", path, err)
		}
		var err error
		sent := 0
		for began := time.Now(); err == nil && time.Since(began) < 10*time.Second; sent++ {
			err = n.Send(strings.Repeat("x", 1024))
		}
		if !Full(err) || !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ENOBUFS) {
			t.Fatalf("SYSD-4: a full socket: %v", err)
		}
		for range sent - 1 {
			heard(t, c)
		}
		if err := n.Send("WATCHDOG=1"); err != nil || heard(t, c) != "WATCHDOG=1" {
			t.Errorf("SYSD-4: there is room again: %v", err)
		}
		c.Close()
		if err := n.Send("WATCHDOG=1"); err == nil || Full(err) {
			t.Errorf("SYSD-4: the manager has gone: %v", err)
		}
		os.Remove(path)
		c = manager(t, path)
		if err := n.Send("STOPPING=1"); err != nil || heard(t, c) != "STOPPING=1" {
			t.Errorf("SYSD-4: the manager is back: %v", err)
		}
		n.Close()
		n.Close()
		if err := n.Send("READY=1"); err != nil || n.Active() {
			t.Errorf("after Close: %v", err)
		}
		c.Close()
	}
	for _, path := range []string{"relative", "@", "/", "vsock:2:1234"} {
		n := NewNotifier(path, time.Second)
		if err := n.Send("READY=1"); !errors.Is(err, ErrNotify) {
			t.Errorf("SYSD-4: %q: %v", path, err)
		}
		n.Close()
	}
	var none *Notifier
	if none.Send("READY=1") != nil || none.Watchdog() != 0 || none.Environ() != nil || none.Active() {
		t.Error("SYSD-4: nil sends")
	}
	none.Close()
}

// SYSD-4: a process without descriptors can still send.
func TestNotifyWithoutDescriptors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "n")
	c := manager(t, path)
	n := NewNotifier(path, 0)
	defer n.Close()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Skip(err)
	}
	none := was
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Skip(err)
	}
	err := n.Send("WATCHDOG=1")
	if e := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); e != nil {
		t.Fatal(e)
	}
	if err != nil || heard(t, c) != "WATCHDOG=1" {
		t.Errorf("SYSD-4: %v", err)
	}
}

// The clock of the manager goes on.
func TestNotifyClock(t *testing.T) {
	n := NewNotifier("", 0)
	if a := n.Now(); runtime.GOOS == "linux" && (a <= 0 || n.Now() < a) {
		t.Errorf("%v, then %v", a, n.Now())
	}
}
