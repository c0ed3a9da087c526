//go:build unix

package process_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// EP-16: when the reactor is stopped, what the program has started in its group ends too.
func TestConnGroupAtStop(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			for _, grace := range []time.Duration{time.Minute, -1} {
				r := reactor.New(world.Open(t), reactor.Config{})
				out := newPipe(t)
				cmd := sh("(exec sleep 1000) & echo; wait")
				cmd.Group = true
				p := new(screen)
				if _, err := process.Connect(r, cmd, p, &process.ConnConfig{ErrorOutput: process.Given(out.w), Grace: grace}); err != nil {
					t.Fatal(err)
				}
				closeFD(&out.w)
				until(t, r, func() bool { return len(p.got) > 0 })
				r.CallLater(0, func() { r.Stop() })
				if err := r.Run(t.Context()); err != nil {
					t.Fatal(err)
				}
				if !p.lost() {
					t.Errorf("EP-16: %v", p.events)
				}
				if got := take(t, out.r); got != "" { // the end: nobody has it any more
					t.Errorf("EP-16: read %q", got)
				}
			}
		})
	}
}

// EP-16: Abort drops the output, and not the error output: a program that tells of its end there is not killed by that.
func TestConnAbortErrorOutput(t *testing.T) {
	onKernels(t, func(t *testing.T, r *reactor.Reactor) {
		for _, last := range []string{"", "sleep 60 &"} { // which holds the error output
			var lines []string
			var exit *process.Status
			o := &process.ConnConfig{Lines: func(l []byte) { lines = append(lines, string(l)) }, Exited: func(s process.Status) { exit = &s }, Linger: 50 * time.Millisecond}
			p := new(screen)
			script := "trap 'echo ends >&2; " + last + " printf over >&2; exit 6' TERM; echo ready; while :; do sleep 0.01; done"
			c := connectTo(t, r, sh(script), p, o)
			until(t, r, func() bool { return len(p.got) > 0 })
			c.Abort()
			until(t, r, func() bool { return exit != nil })
			if p.err != reactor.ErrAborted || exit.Code != 6 || strings.Join(lines, "|") != "ends|over" {
				t.Errorf("EP-16: lost with %v, exit %v, lines %q", p.err, exit, lines)
			}
		}
	})
}

// a panic in Lines is reported once, and ends the connection.
func TestConnLinesPanics(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			panics := 0
			r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
			p := new(screen)
			connectTo(t, r, sh("echo oops >&2; read x; exit 0"), p, &process.ConnConfig{Lines: func([]byte) { panic("boom") }})
			until(t, r, p.lost)
			if _, ok := errors.AsType[*reactor.PanicError](p.err); !ok || panics != 1 {
				t.Errorf("X-3: lost with %v, %d panics", p.err, panics)
			}
		})
	}
}
