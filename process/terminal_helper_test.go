//go:build unix

package process_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// onKernels runs body with a reactor on every kernel of the machine, and with a wrapper around one.
func onKernels(t *testing.T, body func(t *testing.T, r *reactor.Reactor)) {
	t.Helper()
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) { body(t, w.New(t, reactor.Config{})) })
	}
	for _, w := range testworld.Native() {
		t.Run("wrapped", func(t *testing.T) { body(t, w.Wrapped().New(t, reactor.Config{})) })
		break
	}
}

// onWorlds is onKernels, and the simulated one, whose children know the scripts of testworld.Shell.
func onWorlds(t *testing.T, body func(t *testing.T, r *reactor.Reactor)) {
	t.Helper()
	onKernels(t, body)
	for name, w := range testworld.Worlds() {
		if w.Simulated() {
			t.Run(name, func(t *testing.T) { body(t, w.Alone().New(t, reactor.Config{})) })
		}
	}
}

// screen is a protocol that keeps what comes, and the names of its callbacks.
type screen struct {
	s      reactor.Connection
	got    []byte
	events []string
	err    error
	onMade func()
	onData func(p []byte)
}

func (p *screen) ConnectionMade(t reactor.Transport) {
	p.s = reactor.ConnectionOf(t)
	p.events = append(p.events, "made")
	if p.onMade != nil {
		p.onMade()
	}
}

func (p *screen) DataReceived(b []byte) {
	p.got = append(p.got, b...)
	if p.onData != nil {
		p.onData(b)
	}
}

func (p *screen) ConnectionLost(err error) {
	p.err = err
	p.events = append(p.events, "lost")
}

func (p *screen) has(s string) func() bool {
	return func() bool { return bytes.Contains(p.got, []byte(s)) }
}

func (p *screen) lost() bool { return p.err != nil }

// halfScreen is a screen that is told of half-closes.
type halfScreen struct {
	screen
	onReadLost, onWriteLost func()
}

func (p *halfScreen) ReadConnectionLost() {
	p.events = append(p.events, "read lost")
	if p.onReadLost != nil {
		p.onReadLost()
	}
}

func (p *halfScreen) WriteConnectionLost() {
	p.events = append(p.events, "write lost")
	if p.onWriteLost != nil {
		p.onWriteLost()
	}
}

// until turns r until done, and fails the test if that takes too long.
func until(t *testing.T, r *reactor.Reactor, done func() bool) {
	t.Helper()
	testworld.Until(t, done, r)
}

// openPTY makes a pair that is closed when the test ends.
func openPTY(t *testing.T, s process.Size) *process.PTY {
	t.Helper()
	p, err := process.OpenPTY(s)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// put writes all of s to a descriptor.
func put(t *testing.T, fd int, s string) {
	t.Helper()
	if n, err := unix.Write(fd, []byte(s)); n != len(s) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
}

// take reads once from a descriptor that blocks.
func take(t *testing.T, fd int) string {
	t.Helper()
	p := make([]byte, 4096)
	n, err := unix.Read(fd, p)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(p[:n])
}

// isOne fails unless err is want.
func isOne(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func sameEvents(t *testing.T, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// turn turns r that often, without waiting.
func turn(t *testing.T, r *reactor.Reactor, times int) {
	t.Helper()
	for range times {
		if err := r.Turn(0); err != nil {
			t.Fatal(err)
		}
	}
}
