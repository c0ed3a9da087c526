//go:build unix

package service_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/activation"
)

// manager is a test that plays the service manager, at a socket of its own.
type manager struct {
	t    testing.TB
	path string
	c    *net.UnixConn
}

func newManager(t testing.TB) *manager {
	t.Helper()
	m := &manager{t: t, path: filepath.Join(t.TempDir(), "notify")}
	var err error
	if m.c, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.c.Close() })
	return m
}

// notifier is one of this process.
func (m *manager) notifier(watchdog time.Duration) *activation.Notifier {
	n := activation.NewNotifier(m.path, watchdog)
	m.t.Cleanup(n.Close)
	return n
}

// next waits for a message, whose lines have blanks between them, and returns "" if none comes in that time.
func (m *manager) next(limit time.Duration) string {
	m.t.Helper()
	m.c.SetReadDeadline(time.Now().Add(limit))
	b := make([]byte, 4096)
	n, err := m.c.Read(b)
	if err != nil && !os.IsTimeout(err) {
		m.t.Fatal(err)
	}
	return strings.ReplaceAll(string(b[:n]), "\n", " ")
}

// until waits for a message that begins with text, and returns it and how many others came before.
func (m *manager) until(text string) (message string, others []string) {
	m.t.Helper()
	for {
		s := m.next(30 * time.Second)
		switch {
		case s == "":
			m.t.Fatalf("the service manager has not heard %q, but %q", text, others)
		case strings.HasPrefix(s, text):
			return s, others
		}
		others = append(others, s)
	}
}

// said returns what the manager has heard since.
func (m *manager) said() (all []string) {
	for s := m.next(time.Millisecond); s != ""; s = m.next(time.Millisecond) {
		all = append(all, s)
	}
	return all
}

func (m *manager) wants(promise string, want ...string) {
	m.t.Helper()
	if got := m.said(); !slices.Equal(got, want) {
		m.t.Errorf("%s: the service manager has heard\n%q, want\n%q", promise, got, want)
	}
}
