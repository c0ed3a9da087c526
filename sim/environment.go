package sim

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// settings are the variables of the environment that choose runs; "" for one that is not
// set.
type settings struct{ seed, seeds, faults string }

func environ() settings {
	get := os.Getenv
	return settings{get("WHORL_SEED"), get("WHORL_SEEDS"), get("WHORL_FAULTS")}
}

// plan says which seeds are run, and with which options.
type plan struct {
	first, count uint64
	fixed        bool // every seed has options; else Swarm draws them
	options      Options
	chosen       bool // by the environment
}

// faults are the options of a seed.
func (p *plan) faults(seed uint64) Options {
	if p.fixed {
		return p.options
	}
	return Swarm(seed)
}

// planFrom is the plan for so many seeds, or another one that s asks for.
func planFrom(s settings, seeds int) (p plan, err error) {
	p.count = uint64(max(seeds, 0))
	p.chosen = s != settings{}
	switch {
	case s.seed != "":
		p.count = 1
		if p.first, err = strconv.ParseUint(s.seed, 10, 64); err != nil {
			return p, fmt.Errorf("sim: WHORL_SEED is %q: expected a whole number, as in WHORL_SEED=17", s.seed)
		}
	case s.seeds != "":
		if p.first, p.count, err = ParseSeeds(s.seeds); err != nil {
			return p, fmt.Errorf("sim: WHORL_SEEDS is %q: %w", s.seeds, err)
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

// ParseSeeds reads which seeds to run: "5000" is 0 to 4999, and "100..200" is 100 to 200, both
// included. It returns the first seed and how many there are.
func ParseSeeds(s string) (first, count uint64, err error) {
	low, high, both := strings.Cut(s, "..")
	if !both {
		count, err = strconv.ParseUint(s, 10, 63)
	} else if first, err = strconv.ParseUint(low, 10, 63); err == nil {
		if count, err = strconv.ParseUint(high, 10, 63); err == nil {
			count++
		}
	}
	if err != nil || count <= first {
		return 0, 0, errors.New("expected a number of seeds or a range, as in 1000 or 100..200")
	}
	return first, count - first, nil
}
