//go:build unix

package main

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/examples/supervisor/supervise"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// Shells that end are started again, until there were too many restarts.
func TestShells(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			lines := map[string]int{}
			s := shells(func(name string, _ int, line string) { lines[line]++ }, "")
			for i := range s.Workers {
				s.Workers[i].Command = process.Command{Path: testworld.ShellPath, Args: []string{"sh", "-c", "echo hello; printf half; exit 1"}}
			}
			s.Backoff.Initial, s.MaxRestarts = time.Millisecond, 4
			over := false
			s.GaveUp = func() { over = true }
			s.Start(r)
			testworld.Until(t, func() bool { return over }, r)
			// Three and four times; the last two may be ended before they have written anything.
			if n := lines["hello"]; n < 5 || n > 7 || lines["half"] < 5 || lines["half"] > n || s.Running() != 0 {
				t.Errorf("lines %v, %d run", lines, s.Running())
			}
		})
	}
}

// One for all: when one ends, the others are ended and started too. One that is silent is ended; one that ignores that is killed.
func TestTogether(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			began := map[string]int{}
			s := &supervise.Supervisor{Together: true, MaxRestarts: 2, Within: time.Hour, Silence: 50 * time.Millisecond, Grace: 20 * time.Millisecond}
			s.Backoff.Initial, s.Backoff.Jitter = time.Millisecond, -1
			s.Line = func(w *supervise.Worker, _ int, line []byte, _ bool) { began[w.Name+" "+string(line)]++ }
			script := func(name, text string) {
				s.Workers = append(s.Workers, supervise.Worker{Name: name, Command: process.Command{Path: testworld.ShellPath, Args: []string{"sh", "-c", text}}})
			}
			script("deaf", "trap '' TERM; echo deaf; while :; do sleep 0.01; done")
			script("quiet", "echo quiet; exec sleep 1000")
			over := false
			s.GaveUp = func() { over = true }
			s.Start(r)
			testworld.Until(t, func() bool { return over }, r)
			if began["deaf deaf"] != 3 || began["quiet quiet"] != 3 {
				t.Errorf("%v", began)
			}
		})
	}
}
