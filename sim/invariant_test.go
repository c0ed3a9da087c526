package sim_test

import (
	"errors"
	"strings"
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

// Chunks that are given back are used again before new ones are made, and after a burst no more
// of them are kept than the free list may have. The simulation notices both: here it is told of
// a reactor that loses a free chunk, of one that keeps too many, and of one that never gives a
// chunk back.
func TestInvariantChunks(t *testing.T) {
	const most = 64
	for _, c := range []struct {
		name, rule string
		note       func(take, give func(number int))
	}{
		{"used again", "", func(take, give func(int)) {
			take(1)
			give(1)
			take(1)
			take(2)
			give(1)
			give(2)
		}},
		{"lost from the free list", sim.RuleBuffers, func(take, give func(int)) { take(1); give(1); take(2); give(2) }},
		{"a burst", "", func(take, give func(int)) {
			for i := range most + 10 {
				take(i + 1)
			}
			for i := range most + 10 {
				give(i + 1)
			}
			for i := range most {
				take(i + 1)
			}
			take(most + 11)
			give(most + 11)
			for i := range most {
				give(i + 1)
			}
		}},
		{"kept after a burst", sim.RuleBuffers, func(take, give func(int)) {
			for i := range most + 1 {
				take(i + 1)
			}
			for i := range most + 1 {
				give(i + 1)
			}
			take(most + 1)
			give(most + 1)
		}},
		{"never given back", sim.RuleLeft, func(take, give func(int)) { take(1); take(2); give(1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := sim.New(1)
			to := n.Host("a").Kernel.(probe.Observer)
			c.note(func(i int) { to.Observe(probe.Note{Kind: probe.NoteChunk, N: i}) },
				func(i int) { to.Observe(probe.Note{Kind: probe.NoteChunkDone, N: i}) })
			if err := n.Run(time.Second); c.rule == sim.RuleLeft && err != nil {
				t.Error(err)
			}
			broken(t, n.Close(), c.rule)
		})
	}
}

// A reactor that buffers two megabytes and more, and loses some of them with their connection, gives
// all chunks back, keeps no more than it may, and uses them again.
func TestBurstOfChunks(t *testing.T) {
	for seed := range uint64(2) {
		n, srv, p := connected(t, seed)
		n.Options.SendBuffer, n.Options.RecvBuffer = 20_000, 20_000
		q := new(recorder)
		dial(n.Host("cli"), srv.Addr(7), q)
		must(t, n, func() bool { return q.T != nil })
		const size = 40_000
		for range 2 {
			p.got.Reset()
			for range 50 { // more than a write that is sent at once, in many pieces
				say(n, p, strings.Repeat("p", size))
			}
			must(t, n, func() bool { return p.got.Len() == 50*size })
		}
		for range 50 {
			say(n, q, strings.Repeat("q", size))
		}
		n.At(n.Now(), func() { q.T.Abort() })
		must(t, n, func() bool { return q.lost != nil })
		say(n, p, strings.Repeat("p", 10*size))
		n.Run(time.Minute)
		if err := n.Close(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
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
