package testworld_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// Random scripts have one transcript on every kernel. What differs between two systems is only how a loss is named
// behind an end, and select(2), which cannot tell a failure from input. After each command the loops turn until
// nothing is under way, so that no transcript depends on time. A seed that fails is written with its script, which a
// file of scripts can hold once it is shrunk.
func TestRandomScripts(t *testing.T) {
	seeds := uint64(500)
	if testing.Short() {
		seeds = 20
	}
	for seed := range seeds {
		text := randomScript(seed)
		script, err := testworld.ParseScript(text)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		first, want := "", ""
		for name, w := range testworld.Worlds() {
			if name == "select" {
				continue
			}
			got := playRandom(t, script, w, 1+int(seed%2))
			if first == "" {
				first, want = name, got
			}
			if got != want {
				t.Errorf("seed %d\n%s\n%s:\n%s\n%s:\n%s", seed, text, first, want, name, got)
			}
		}
	}
}

// playRandom plays a script on new reactors and returns the transcript. A reset behind the end of the peer is told as
// broken if a write finds it, and as a reset otherwise: here both are one.
func playRandom(t *testing.T, s *testworld.Script, w testworld.World, reactors int) string {
	var all []*reactor.Reactor
	got, err := s.Run(reactors, func(c reactor.Config) *reactor.Reactor {
		r := testworld.New(t, w.Alone().Open(t), c)
		all = append(all, r)
		return r
	})
	for _, r := range all {
		r.Close()
	}
	if err != nil {
		got += err.Error()
	}
	return strings.ReplaceAll(got, "broken", "reset")
}

// scriptWriter writes random scripts about one connection, from cli to srv.
type scriptWriter struct {
	strings.Builder
	*rand.Rand
}

// line writes a line.
func (w *scriptWriter) line(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }

// settled writes a command, and turns until what it has caused is over.
func (w *scriptWriter) settled(command string) { w.line("%s\nturn 30", command) }

// one returns one of list.
func (w *scriptWriter) one(list ...string) string { return list[w.IntN(len(list))] }

// options returns the options of a port or a dial.
func (w *scriptWriter) options() string {
	return w.one("", " half") + w.one("", "", " echo") + w.one("", "", " high=40 low=10") + w.one("", "", "", "", "", " max=100")
}

// command returns a command that may stand in a callback too.
func (w *scriptWriter) command() string {
	name := w.one("srv", "cli")
	switch w.IntN(13) {
	case 0, 1, 2, 3:
		return fmt.Sprintf("write %s %d", name, 1+w.IntN(60))
	case 4:
		return fmt.Sprintf("writev %s %d \"\" %d", name, 1+w.IntN(20), 1+w.IntN(20))
	case 5:
		return fmt.Sprintf("producer %s %s %d %d", name, w.one("push", "pull"), 1+w.IntN(100), 1+w.IntN(30))
	case 6, 7:
		return "closewrite " + name
	case 8:
		return w.one("close ", "abort ", "unregister ") + name
	case 9, 10:
		return "pause " + name
	default:
		return "resume " + name
	}
}

// randomScript returns the script of a seed. Two ends that echo would never end.
func randomScript(seed uint64) string {
	w := &scriptWriter{Rand: rand.New(rand.NewPCG(seed, 3))}
	server, client := w.options(), w.options()
	if strings.Contains(server, "echo") {
		client = strings.ReplaceAll(client, " echo", "")
	}
	w.line("listen srv%s", server)
	w.settled("dial cli srv" + client)
	for range w.IntN(4) {
		event := w.one("data", "bytes 20", "readlost", "writelost", "lost", "paused", "resumed", "finished", "stopped")
		w.line("on %s %s %s%s", w.one("srv", "cli"), event, w.one("", "", "post "), w.command())
	}
	for range 3 + w.IntN(12) {
		w.settled(w.one(w.command(), w.command(), w.command(), w.command(), w.command(), "stop srv", "disconnect cli"))
	}
	for _, last := range []string{"resume cli", "resume srv", "closewrite cli", "abort srv", "abort cli"} {
		w.settled(last)
	}
	return w.String()
}
