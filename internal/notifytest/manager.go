// Package notifytest has a test play the service manager of a program, at a UNIX socket.
package notifytest

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Manager is the socket of a service manager. Its methods are for the goroutine of the test.
type Manager struct {
	// Path is the value of NOTIFY_SOCKET.
	Path string

	t testing.TB
	c *net.UnixConn
}

// New opens a socket, until the end of the test.
func New(t testing.TB) *Manager {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the system has no UNIX datagrams")
	}
	m := &Manager{t: t, Path: filepath.Join(t.TempDir(), "notify")}
	var err error
	if m.c, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.Path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.c.Close() })
	return m
}

// Next waits for a message, whose lines have blanks between them, and returns "" if none comes in that time.
func (m *Manager) Next(limit time.Duration) string {
	m.t.Helper()
	m.c.SetReadDeadline(time.Now().Add(limit))
	b := make([]byte, 4096)
	n, err := m.c.Read(b)
	if err != nil && !os.IsTimeout(err) {
		m.t.Fatal(err)
	}
	return strings.ReplaceAll(string(b[:n]), "\n", " ")
}

// Until waits for a message that begins with text, and returns it, and those that came before.
func (m *Manager) Until(text string) (message string, others []string) {
	m.t.Helper()
	for {
		s := m.Next(30 * time.Second)
		switch {
		case s == "":
			m.t.Fatalf("the service manager has not heard %q, but %q", text, others)
		case strings.HasPrefix(s, text):
			return s, others
		}
		others = append(others, s)
	}
}

// Said returns what the manager has heard since. It sends itself a last message, and reads until that comes: a short limit of time may pass on a busy machine
// before the first message is read, and then there seems to be none.
func (m *Manager) Said() (all []string) {
	m.t.Helper()
	const end = "all has been said"
	c, err := net.DialUnix("unixgram", nil, m.c.LocalAddr().(*net.UnixAddr))
	if err != nil {
		m.t.Fatal(err)
	}
	defer c.Close()
	for {
		c.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err = c.Write([]byte(end)); err == nil {
			break
		} else if !os.IsTimeout(err) {
			m.t.Fatal(err)
		}
		if s := m.Next(time.Millisecond); s != "" { // there is no room before something is read
			all = append(all, s)
		}
	}
	_, rest := m.Until(end)
	return append(all, rest...)
}

// Wants fails the test unless the manager has heard this since.
func (m *Manager) Wants(promise string, want ...string) {
	m.t.Helper()
	if got := m.Said(); !slices.Equal(got, want) {
		m.t.Errorf("%s: the service manager has heard\n%q, want\n%q", promise, got, want)
	}
}
