package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// Job is one seed to run.
type Job struct {
	// World is the name of the world.
	World string `json:"world"`
	Seed  uint64 `json:"seed"`
	// Faults are options as text, see [sim.ParseOptions]; nil for those that sim.Swarm draws.
	Faults *string `json:"faults,omitempty"`
	// Once runs the seed once rather than twice, without the comparison of World.Check.
	Once bool `json:"once,omitempty"`
	// Minimise finds out which of the faults matter, too.
	Minimise bool `json:"minimise,omitempty"`
}

// Verdict is the result of a job.
type Verdict struct {
	World string `json:"world"`
	Seed  uint64 `json:"seed"`
	// Faults are the options as text.
	Faults string `json:"faults"`
	// Hash is Net.Hash in hexadecimal, "" if the process ended early.
	Hash string `json:"hash,omitempty"`
	// Now is how long the run took in simulated time, and Steps in steps.
	Now   time.Duration `json:"simulated_ns"`
	Steps int           `json:"steps"`
	// Error is what did not hold, "" if everything held.
	Error string `json:"error,omitempty"`
	// Phase, What, Rule and At are those of sim.RunError. Without a phase, What is "process" or
	// "timeout": the process ended early, or was killed.
	Phase string        `json:"phase,omitempty"`
	What  string        `json:"what,omitempty"`
	Rule  string        `json:"rule,omitempty"`
	At    time.Duration `json:"at_ns,omitempty"`
	// Sometimes are the states that should be reached in some run.
	Sometimes []sim.State `json:"sometimes,omitempty"`
	// Least are the faults with which the same rule is still broken, and Matter their
	// classes, if the job was to find out. LeastError, LeastPhase and LeastAt are Error,
	// Phase and At of the run with Least.
	Least      string        `json:"least,omitempty"`
	Matter     []string      `json:"matter,omitempty"`
	LeastError string        `json:"least_error,omitempty"`
	LeastPhase string        `json:"least_phase,omitempty"`
	LeastAt    time.Duration `json:"least_at_ns,omitempty"`
}

// Work makes this process a worker: it reads jobs from in and writes verdicts to out, an
// object of JSON a line. find gives the world of a name. When in ends, Work ends the process
// with status 0, also during a run: the parent has enough, or is gone. It returns why it could
// not go on.
//
// Interrupts are ignored, because a terminal sends them to parent and workers, and the parent
// decides. os.Stdout becomes os.Stderr, so that what a world prints is not taken for a
// verdict; out must have been read from os.Stdout before.
func Work(in io.Reader, out io.Writer, find func(name string) (sim.World, error)) error {
	signal.Ignore(os.Interrupt)
	os.Stdout = os.Stderr
	jobs := make(chan Job)
	go func() {
		from := json.NewDecoder(in)
		for {
			var j Job
			if from.Decode(&j) != nil {
				os.Exit(0)
			}
			jobs <- j
		}
	}()
	to := json.NewEncoder(out)
	for j := range jobs {
		w, err := find(j.World)
		if err != nil {
			return err
		}
		v, err := j.run(w)
		if err == nil {
			err = to.Encode(v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// run does the job.
func (j Job) run(w sim.World) (Verdict, error) {
	o, err := Options(j.Seed, j.Faults)
	if err != nil {
		return Verdict{}, err
	}
	r := Run(w, j.Seed, o, j.Once)
	v := Judge(r)
	if j.Minimise {
		least, matter := w.Minimise(r)
		found := Judge(least)
		v.Least, v.Matter = found.Faults, matter
		v.LeastError, v.LeastPhase, v.LeastAt = found.Error, found.Phase, found.At
	}
	return v, nil
}

// Options are the options for a seed: those of text, or those that sim.Swarm draws if text
// is nil.
func Options(seed uint64, text *string) (sim.Options, error) {
	if text == nil {
		return sim.Swarm(seed), nil
	}
	return sim.ParseOptions(*text)
}

// Run runs a seed twice and compares (World.Check), or runs it once.
func Run(w sim.World, seed uint64, o sim.Options, once bool) sim.Result {
	if once {
		return w.Run(seed, o)
	}
	return w.Check(seed, o)
}

// Judge is a result as a verdict.
func Judge(r sim.Result) Verdict {
	v := Verdict{World: r.World.Name, Seed: r.Seed, Faults: r.Options.String(), Hash: fmt.Sprintf("%016x", r.Hash), Now: r.Now, Steps: r.Steps, Sometimes: r.Sometimes}
	if r.Err == nil {
		return v
	}
	v.Error = r.Err.Error()
	if e, ok := errors.AsType[*sim.RunError](r.Err); ok {
		v.Error, v.Phase, v.What, v.Rule, v.At = e.Err.Error(), string(e.Phase), e.What, e.Rule, e.At
	}
	return v
}
