package reactor_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// GROUP-9: a panic in Lost is logged, and Run still returns the loss.
func TestGroupLostPanics(t *testing.T) {
	lossy(t, func(t *testing.T, w testworld.World) {
		var logs bytes.Buffer
		c := reactor.GroupConfig{Lost: func(*reactor.LoopError) { panic("in Lost") }}
		c.Reactor.Logger = slog.New(slog.NewTextHandler(&logs, nil))
		g := newGroup(t, w, 2, c)
		g.run()
		lose(t, g, 1)
		_ = g.Stop()
		if err := recv(t, g.ended); err == nil {
			t.Error("GROUP-9: Run does not tell of the loss")
		}
		if text := logs.String(); !strings.Contains(text, "in=GroupConfig.Lost") || !strings.Contains(text, "in Lost") {
			t.Errorf("the panic is not in the log: %s", text)
		}
	})
}
