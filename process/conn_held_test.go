//go:build unix

package process_test

import (
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
)

// EP-16: something that a program has left behind, and that goes on writing error output alone, holds the end back no longer than Linger.
func TestConnErrorOutputHeld(t *testing.T) {
	for name, closes := range map[string]bool{"after its end": false, "after Close": true} {
		t.Run(name, func(t *testing.T) {
			onKernels(t, func(t *testing.T, r *reactor.Reactor) {
				p, lines, exited := new(screen), 0, 0
				o := &process.ConnConfig{Linger: 200 * time.Millisecond, Lines: func([]byte) { lines++ }, Exited: func(process.Status) { exited++ }}
				c := connectTo(t, r, sh("(exec 0<&- 1>&-; while :; do echo x >&2; sleep 0.02; done) & echo; exit 0"), p, o)
				until(t, r, func() bool { return len(p.got) > 0 })
				want := error(io.EOF)
				if closes {
					want = reactor.ErrClosed
					_ = c.Close()
				}
				until(t, r, func() bool { return p.lost() && exited == 1 })
				if p.err != want || lines == 0 {
					t.Errorf("EP-16: lost for %v, %d lines", p.err, lines)
				}
			})
		})
	}
}
