package sim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// settings are what the environment says about tests, "" where it says nothing.
type settings struct{ seed, seeds, faults string }

func environ() settings {
	get := os.Getenv
	return settings{get("WHORL_SEED"), get("WHORL_SEEDS"), get("WHORL_FAULTS")}
}

// plan is which seeds are run, and how.
type plan struct {
	first, count uint64
	fixed        bool // every seed has options, rather than its own swarm
	options      Options
}

// faults are those of a seed.
func (p *plan) faults(seed uint64) Options {
	if p.fixed {
		return p.options
	}
	return Swarm(seed)
}

// planFrom is the plan for so many seeds, unless s says otherwise.
func planFrom(s settings, seeds int) (p plan, err error) {
	p.count = uint64(max(seeds, 0))
	switch {
	case s.seed != "":
		p.count = 1
		if p.first, err = strconv.ParseUint(s.seed, 10, 64); err != nil {
			return p, fmt.Errorf("sim: WHORL_SEED is %q: expected a whole number, as in WHORL_SEED=17", s.seed)
		}
	case s.seeds != "":
		if p.first, p.count, err = seedRange(s.seeds); err != nil {
			return p, err
		}
	}
	if s.faults != "" {
		p.fixed = true
		if p.options, err = ParseOptions(s.faults); err != nil {
			return p, fmt.Errorf("WHORL_FAULTS: %w", err)
		}
	}
	return p, nil
}

// seedRange reads "5000" or "100..200".
func seedRange(s string) (first, count uint64, err error) {
	low, high, both := strings.Cut(s, "..")
	if !both {
		count, err = strconv.ParseUint(s, 10, 63)
	} else if first, err = strconv.ParseUint(low, 10, 63); err == nil {
		count, err = strconv.ParseUint(high, 10, 63)
		count++
	}
	if err != nil || count <= 0 || both && count <= first {
		return 0, 0, fmt.Errorf("sim: WHORL_SEEDS is %q: expected a number of seeds or a range, as in 5000 or 100..200", s)
	}
	return first, count - first, nil
}
