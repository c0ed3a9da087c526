package sim_test

import (
	"errors"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// Every rule is looked at: a run in which a reactor says something else than it should,
// or a byte changes under way, ends with that rule. What is changed is one note of a kind.
func TestInvariants(t *testing.T) {
	twice := func(n probe.Note, to func(probe.Note)) { to(n); to(n) }
	never := func(probe.Note, func(probe.Note)) {}
	less := func(n probe.Note, to func(probe.Note)) { n.N--; to(n) }
	for _, c := range []struct {
		name   string
		rule   string
		kind   probe.NoteKind
		change func(probe.Note, func(probe.Note))
	}{
		{"none", "", 0, nil},
		{"lost twice", sim.RuleOrder, probe.NoteLost, twice},
		{"made twice", sim.RuleOrder, probe.NoteMade, twice},
		{"never made", sim.RuleOrder, probe.NoteMade, never},
		{"two ends of what was sent", sim.RuleOrder, probe.NoteReadLost, twice},
		{"delivered less", sim.RuleDelivered, probe.NoteData, less},
		{"sent less", sim.RuleSent, probe.NoteSent, less},
		{"written more", sim.RuleSent, probe.NoteWritten, func(n probe.Note, to func(probe.Note)) { n.N++; to(n) }},
		{"never resumed", sim.RulePaused, probe.NoteResumed, never},
		{"closing too early", sim.RulePaused, probe.NoteMade, func(n probe.Note, to func(probe.Note)) {
			to(n)
			n.Kind = probe.NoteClosing
			to(n)
		}},
		{"the buffer twice", sim.RuleBuffers, probe.NoteDataDone, twice},
		{"the buffer never", sim.RuleBuffers, probe.NoteDataDone, never},
		{"a chunk taken twice", sim.RuleBuffers, probe.NoteChunk, twice},
		{"a chunk back twice", sim.RuleBuffers, probe.NoteChunkDone, twice},
		{"a call early", sim.RuleEarly, probe.NoteDelayed, func(n probe.Note, to func(probe.Note)) { n.Due += 1; to(n) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := transfer{seed: 4}
			changed := false
			x.wrap = func(h *sim.Host, k kernel.Kernel) kernel.Kernel {
				hear := func(n probe.Note, to func(probe.Note)) {
					if c.kind == 0 || n.Kind != c.kind || changed {
						to(n)
						return
					}
					changed = true
					c.change(n, to)
				}
				return &wrapKernel{Kernel: k, hear: hear}
			}
			broken(t, x.run(), c.rule)
			if changed != (c.rule != "") {
				t.Error("the note never came")
			}
		})
	}
}

// broken wants err to be of that rule, or nil for none.
func broken(t *testing.T, err error, rule string) {
	t.Helper()
	var e *sim.InvariantError
	if errors.As(err, &e); rule == "" && err != nil || rule != "" && (e == nil || e.Rule != rule) {
		t.Errorf("want rule %q: %v", rule, err)
	}
}

// A byte changed under way, and one that is lost, are found when they are read.
func TestInvariantPrefix(t *testing.T) {
	for name, spoil := range map[string]func(*sim.Net) bool{"changed": sim.Corrupt, "lost": sim.LoseTail} {
		t.Run(name, func(t *testing.T) {
			q, p := new(recorder), new(recorder)
			n, srv, cli := two(t, 1, reactor.One(q))
			dial(cli, srv.Addr(7), p)
			must(t, n, func() bool { return p.T != nil && q.T != nil })
			text := make([]byte, 200_000)
			for i := range text {
				text[i] = byte(i)
			}
			n.At(n.Now(), func() { p.T.Write(text) })
			if err := n.RunUntil(func() bool { return spoil(n) }, time.Minute); err != nil {
				t.Fatal(err)
			}
			n.At(n.Now(), func() { p.T.Close() })
			err := n.Run(time.Minute)
			broken(t, err, sim.RulePrefix)
			if again := n.Run(time.Minute); again != err || n.Err() != err || n.Step() || n.Close() != err {
				t.Errorf("after it: %v, %v", again, n.Err())
			}
		})
	}
}

// A protocol that changes what it gave to WriteShared is found out when that was sent, or with
// the loss.
func TestInvariantShared(t *testing.T) {
	for name, end := range map[string]func(reactor.Transport){
		"sent": func(t reactor.Transport) { t.Close() },
		"lost": reactor.Transport.Abort,
	} {
		for _, rule := range []string{"", sim.RuleShared} {
			t.Run(name+" "+rule, func(t *testing.T) {
				n, srv, cli := two(t, 1, reactor.One(new(recorder)))
				n.Options.SendBuffer, n.Options.RecvBuffer = 1000, 1000
				p := new(recorder)
				dial(cli, srv.Addr(7), p)
				must(t, n, func() bool { return p.T != nil })
				text := make([]byte, 100_000)
				n.At(n.Now(), func() { reactor.WriteShared(p.T, text) })
				n.At(n.Now()+time.Millisecond, func() {
					if rule != "" {
						text[len(text)-1]++
					}
					end(p.T)
				})
				broken(t, n.Run(time.Minute), rule)
			})
		}
	}
}

// What nobody closed is found when the Net is closed.
func TestInvariantLeft(t *testing.T) {
	for name, leave := range map[string]func(h *sim.Host) error{
		"listener": func(h *sim.Host) error { _, err := h.Kernel.Listen(h.Addr(9), nil); return err },
		"dialled":  func(h *sim.Host) error { _, err := h.Kernel.Dial(h.Addr(7), nil); return err },
	} {
		t.Run(name, func(t *testing.T) {
			n, srv, _ := two(t, 1, echoes())
			if err := leave(srv); err != nil {
				t.Fatal(err)
			}
			if err := n.Run(time.Second); err != nil {
				t.Fatal(err)
			}
			broken(t, n.Close(), sim.RuleLeft)
		})
	}
	n, srv, p := connected(t, 1)
	say(n, p, "x")
	n.Run(time.Second)
	srv.Crash()
	broken(t, n.Close(), "")
}
