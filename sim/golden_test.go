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
	var b strings.Builder
	for seed := range uint64(20) {
		r := sums.Run(seed, sim.Swarm(seed))
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		fmt.Fprintf(&b, "%2d %016x %7d steps %v\n", seed, r.Hash, r.Steps, r.Now)
	}
	const file = "testdata/hashes.txt"
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
