package fleet_test

import (
	"bytes"
	"log/slog"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim/fleet"
	"github.com/whorl-go/whorl/testworld"
)

// Off a terminal progress is a line; in JSON it is an object.
func TestProgress(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) { testProgress(t, w) })
	}
}

func testProgress(t *testing.T, w testworld.World) {
	r := w.New(t, reactor.Config{})
	b := fleet.Half(r, "w", 400, fleet.Summary{Ran: 100, Failed: 3})
	if got := b.Standing(10 * time.Second); got != "100/400 seeds, 3 failed, 10 seeds/s, 30s left" {
		t.Errorf("standing: %s", got)
	}
	if got := b.Bar(10 * time.Second); !strings.HasPrefix(got, "[#####...............] 100/400") {
		t.Errorf("bar: %s", got)
	}
	var text, object bytes.Buffer
	(&fleet.Progress{Out: &text}).Show(b)
	(&fleet.Progress{Out: &object, Log: slog.New(slog.NewJSONHandler(&object, nil))}).Show(b)
	if got := text.String(); !strings.HasPrefix(got, "w: 100/400 seeds") || strings.Count(got, "\n") != 1 || strings.Contains(got, "\r") {
		t.Errorf("text: %q", got)
	}
	if got := object.String(); !strings.Contains(got, `"ran":100,"seeds":400,"failed":3}`) {
		t.Errorf("object: %q", got)
	}
}

// A program that cannot be started, and one that says something else, are errors.
func TestFleetOfOthers(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) { testFleetOfOthers(t, w) })
	}
}

func testFleetOfOthers(t *testing.T, w testworld.World) {
	r := w.New(t, reactor.Config{})
	var got []fleet.Verdict
	var err error
	over := false
	give := func(command func() *exec.Cmd) {
		got, err, over = nil, nil, false
		left := 2
		next := func() (fleet.Job, bool) { left--; return fleet.Job{Seed: uint64(left)}, left >= 0 }
		done := func(v fleet.Verdict) { got = append(got, v) }
		fleet.RunFleet(r, command, next, done, func(e error) { over, err = true, e })
		testworld.Until(t, func() bool { return over }, r)
	}
	give(func() *exec.Cmd { return exec.Command("./no such program") })
	if err == nil || !strings.HasPrefix(err.Error(), "starting a process for seed 1: ") || got != nil {
		t.Errorf("not there: %v, %v", err, got)
	}
	// Ctrl-C goes to all; whether it is the end is not for a child to decide.
	tries := 0
	give(func() *exec.Cmd {
		if tries++; tries == 1 {
			return exec.Command("sh", "-c", "kill -INT $$")
		}
		return exec.Command("sh", "-c", `read job; echo '{"seed":1}'; read job; echo '{"seed":0}'; cat`)
	})
	if err != nil || tries != 2 || len(got) != 2 || got[0].Seed != 1 || got[0].Error != "" || got[1].Seed != 0 {
		t.Errorf("interrupted: %v, %v in %d tries", err, got, tries)
	}
	give(func() *exec.Cmd { return exec.Command("sh", "-c", "echo hello; exec sleep 1000") })
	if err != nil || len(got) != 2 || got[0].Seed != 1 || got[1].Seed != 0 || !strings.HasPrefix(got[1].Error, "the process that ran it is gone: signal: killed") {
		t.Errorf("something else: %v, %v", err, got)
	}
}
