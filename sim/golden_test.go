package sim_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/sim"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files of this package anew")

// TestSameEverywhere: a seed is the same run on every machine, with and without the
// race detector. The hashes were written on one of them. A change of what a simulation
// draws changes them, and every seed that somebody has noted; it is written with
//
//	go test ./sim -run TestSameEverywhere -rewrite
func TestSameEverywhere(t *testing.T) {
	same(t, "testdata/hashes-all.txt", sim.Swarm)
}

// A new class of options draws from a stream of its own: without it, seeds keep their runs. The
// hashes of this file are older than the classes that are turned off here.
func TestNewClassesLeaveRunsAlone(t *testing.T) {
	same(t, "testdata/hashes.txt", func(seed uint64) sim.Options {
		o := sim.Swarm(seed)
		for _, c := range []string{"stop", "rolling", "jump", "slow", "rare"} {
			o = o.Without(c)
		}
		return o
	})
}

// same compares the hashes of runs with those in file.
func same(t *testing.T, file string, options func(seed uint64) sim.Options) {
	t.Helper()
	var b strings.Builder
	for seed := range uint64(20) {
		r := sums.Run(seed, options(seed))
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		fmt.Fprintf(&b, "%2d %016x %7d steps %v\n", seed, r.Hash, r.Steps, r.Now)
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(b.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("runs are not those of %s:\n%swant:\n%s", file, b.String(), want)
	}
}
