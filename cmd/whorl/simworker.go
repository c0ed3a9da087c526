package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/sim/report"
)

// simWorkerCommand runs seeds for a parent, which is this tool itself: jobs come on
// standard input and verdicts go to standard output, an object of JSON a line.
type simWorkerCommand struct{}

// job is one seed to run.
type job struct {
	World  string  `json:"world"`
	Seed   uint64  `json:"seed"`
	Faults *string `json:"faults,omitempty"` // nil: the seed's own
	Once   bool    `json:"once,omitempty"`
	// Minimise asks which of the faults matter, too.
	Minimise bool `json:"minimise,omitempty"`
}

// verdict is what became of a job.
type verdict struct {
	World  string        `json:"world"`
	Seed   uint64        `json:"seed"`
	Faults string        `json:"faults"`
	Hash   string        `json:"hash,omitempty"`
	Now    time.Duration `json:"simulated_ns"`
	Steps  int           `json:"steps"`
	// Error is "" for a run in which everything held.
	Error string        `json:"error,omitempty"`
	Phase string        `json:"phase,omitempty"`
	What  string        `json:"what,omitempty"`
	At    time.Duration `json:"at_ns,omitempty"`
	// Least are the faults it fails with, and Matter their classes, if they were asked for.
	Least  string   `json:"least,omitempty"`
	Matter []string `json:"matter,omitempty"`
}

// Run works until standard input ends: the parent has enough, or is gone.
func (*simWorkerCommand) Run(t terminal, k known) error {
	signal.Ignore(os.Interrupt) // the terminal sends it to everybody; the parent decides
	os.Stdout = os.Stderr       // a world that prints must not be taken for a verdict
	jobs := make(chan job)
	go func() {
		in := json.NewDecoder(t.in)
		for {
			var j job
			if in.Decode(&j) != nil {
				os.Exit(statusDone) // also from a run that does not end
			}
			jobs <- j
		}
	}()
	out := json.NewEncoder(t.out)
	for j := range jobs {
		v, err := j.run(k)
		if err == nil {
			err = out.Encode(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run does the job.
func (j job) run(k known) (verdict, error) {
	w, err := k.find(j.World)
	if err != nil {
		return verdict{}, err
	}
	o, err := mix(j.Seed, j.Faults)
	if err != nil {
		return verdict{}, err
	}
	again := w.Check
	if j.Once {
		again = w.Run
	}
	r := again(j.Seed, o)
	v := judge(r)
	if j.Minimise {
		least, matter := w.Minimise(r)
		v.Least, v.Matter = least.String(), matter
	}
	return v, nil
}

// judge is a result as a verdict.
func judge(r sim.Result) verdict {
	v := verdict{World: r.World.Name, Seed: r.Seed, Faults: r.Options.String(), Hash: fmt.Sprintf("%016x", r.Hash), Now: r.Now, Steps: r.Steps}
	if r.Err == nil {
		return v
	}
	v.Error = r.Err.Error()
	if e, ok := errors.AsType[*sim.RunError](r.Err); ok {
		v.Error, v.Phase, v.What, v.At = e.Err.Error(), string(e.Phase), e.What, e.At
	}
	return v
}

// reason is why it failed, on one line.
func (v *verdict) reason() string {
	if v.Phase == "" { // its process is gone, and nobody knows when
		return v.What + ": " + report.FirstLine(v.Error)
	}
	return fmt.Sprintf("%s, in phase %s at %s: %s", v.What, v.Phase, report.Moment(v.At), report.FirstLine(v.Error))
}

// replay is the line that shows the run again, with the faults that matter if they are known.
func (v *verdict) replay() string {
	faults := v.Least
	if faults == "" {
		faults = v.Faults
	}
	if faults == "" {
		return fmt.Sprintf("whorl sim %s --seed %d", v.World, v.Seed)
	}
	return fmt.Sprintf("whorl sim %s --seed %d --faults '%s'", v.World, v.Seed, faults)
}
