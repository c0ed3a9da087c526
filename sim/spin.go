package sim

import (
	"cmp"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/kernel/probe"
)

// spin counts callbacks while time stands still for too long, for the error of a livelock.
type spin struct {
	made []spun
	data bool // some of them were given data, or datagrams
}

// spun is one kind of callback.
type spun struct {
	host string
	sock int
	kind probe.NoteKind
	fn   uintptr
	name string
	n    int
}

// spunMost is how many kinds of callbacks are counted, and spunShown is how many are shown.
const spunMost, spunShown = 64, 5

// spins counts a callback if the reactors have made half of the turns that are a livelock.
func (n *Net) spins(k *simKernel, s *sock, note *probe.Note) {
	if n.vainTurns() <= n.maxTurns()/2 {
		if n.spin.made != nil {
			n.spin = spin{}
		}
		return
	}
	c := spun{host: k.h.name, kind: note.Kind, name: note.Name}
	if s != nil {
		c.sock = s.id
	}
	if note.Call != nil {
		c.fn = reflect.ValueOf(note.Call).Pointer()
	}
	switch note.Kind {
	case probe.NoteData, probe.NoteDatagram, probe.NoteDatagrams:
		n.spin.data = true
	}
	for i := range n.spin.made {
		known := &n.spin.made[i]
		if c.n = known.n; *known == c {
			known.n++
			return
		}
	}
	if c.n = 1; len(n.spin.made) < spunMost {
		n.spin.made = append(n.spin.made, c)
	}
}

// text tells which callbacks were made most often, and what lets time pass.
func (s *spin) text() string {
	var b strings.Builder
	slices.SortStableFunc(s.made, func(x, y spun) int { return cmp.Compare(y.n, x.n) })
	for _, c := range s.made[:min(len(s.made), spunShown)] {
		fmt.Fprintf(&b, "  %s", c.host)
		if c.sock > 0 {
			fmt.Fprintf(&b, " #%d", c.sock)
		}
		fmt.Fprintf(&b, ": %v", c.kind)
		if f := runtime.FuncForPC(c.fn); c.fn != 0 && f != nil {
			fmt.Fprintf(&b, " %s", f.Name())
		}
		if c.name != "" {
			fmt.Fprintf(&b, " %s", c.name)
		}
		fmt.Fprintf(&b, ", %d times\n", c.n)
	}
	if len(s.made) == 0 {
		b.WriteString("  none\n")
	}
	if s.data {
		return b.String() + "what is sent takes no time to arrive here, so ends that answer each other at once never let time pass: " +
			"set Options.Latency (SetLatency within a host), or raise Net.MaxTurns if they come to an end\n"
	}
	return b.String() + "a delayed call of no delay that makes the next one, or a function that posts itself, never lets time pass\n"
}
