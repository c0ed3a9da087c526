package worlds

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/examples/supervisor/supervise"
	"github.com/whorl-go/whorl/sim"
)

// The checks of Supervisor find mistakes.
func TestMistakesOfSupervisorsAreFound(t *testing.T) {
	for _, c := range []struct {
		rule  string
		plant func(s *supervise.Supervisor)
	}{
		{"no storm", func(s *supervise.Supervisor) { s.MaxRestarts, s.Backoff.Max = 1000, time.Millisecond }},
		{"output", func(s *supervise.Supervisor) {
			line, n := s.Line, 0
			s.Line = func(w *supervise.Worker, pid int, p []byte, whole bool) {
				if n++; n%7 == 0 && whole {
					line(w, pid, p, whole) // twice
				}
				line(w, pid, p, whole)
			}
		}},
		{"output", func(s *supervise.Supervisor) {
			line, n := s.Line, 0
			s.Line = func(w *supervise.Worker, pid int, p []byte, whole bool) {
				if n++; n%7 != 0 {
					line(w, pid, p, whole)
				}
			}
		}},
		{"a of one works again", func(s *supervise.Supervisor) { s.Silence = 0 }},
		{"one run", func(s *supervise.Supervisor) {
			if s.Together {
				s.Together, s.MaxRestarts = false, 1000
			}
		}},
	} {
		found := ""
		for seed := range uint64(10) {
			r := supervisorWorld(c.plant).Run(seed, sim.Options{Length: 20 * time.Second})
			if e, ok := errors.AsType[*sim.RunError](r.Err); ok {
				if found = e.Rule; found == c.rule {
					break
				}
			}
		}
		if found != c.rule {
			t.Errorf("%q is found, and not %q", found, c.rule)
		}
	}
}
