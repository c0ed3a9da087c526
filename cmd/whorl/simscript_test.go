package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/whorl-go/whorl/sim"
)

// simTest is the tool with worlds that behave badly. It is the program simtest of scripts.
func simTest() {
	k := builtIn()
	for _, w := range []struct {
		name  string
		setup func(n *sim.Net)
	}{
		{"crashing", func(n *sim.Net) {
			switch n.Seed() {
			case 2:
				fmt.Println("printed")
			case 3:
				fmt.Fprintln(os.Stderr, "boom")
				os.Exit(7)
			case 5:
				panic("ouch")
			}
		}},
		{"hanging", func(n *sim.Net) {
			if n.Seed() == 0 {
				panic("this is known when the next hangs")
			}
			for n.Seed() == 1 {
			}
		}},
		{"random", func(n *sim.Net) { n.Mark("", fmt.Sprint(rand.Uint64())) }},
	} {
		k.hidden = append(k.hidden, sim.World{Name: w.name, Setup: func(n *sim.Net) sim.Checks {
			w.setup(n)
			return sim.Checks{}
		}})
	}
	os.Exit(run(os.Args[1:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr}, k))
}

// objects are the lines of a file, each of which must be an object with a type.
func objects(ts *testscript.TestScript, file string) (all []map[string]any) {
	for line := range strings.Lines(ts.ReadFile(file)) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			ts.Fatalf("%q: %v", line, err)
		}
		all = append(all, o)
	}
	return all
}

// jsonLines is jsonlines FILE TYPE...: its lines are objects of these types alone, and there
// is one of each at least; of a summary or a run there is one, the last line.
func jsonLines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: jsonlines FILE TYPE...")
	}
	seen := map[any]int{}
	all := objects(ts, args[0])
	for i, o := range all {
		typ, _ := o["type"].(string)
		if !slices.Contains(args[1:], typ) {
			ts.Fatalf("line %d is a %q, want one of %q", i+1, typ, args[1:])
		}
		seen[typ]++
		if (typ == "summary" || typ == "run") && i+1 != len(all) {
			ts.Fatalf("the %s is not last", typ)
		}
	}
	for _, typ := range args[1:] {
		if seen[typ] == 0 {
			ts.Fatalf("there is no %s in %d lines", typ, len(all))
		}
	}
}

// sameHash is samehash ONE MANY: the run in ONE is one of the failures in MANY, with the same
// seed, hash, error and faults.
func sameHash(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: samehash ONE MANY")
	}
	one := objects(ts, args[0])[0]
	for _, o := range objects(ts, args[1]) {
		if o["seed"] != one["seed"] {
			continue
		}
		for _, field := range []string{"hash", "error", "faults", "at_ns", "steps", "simulated_ns"} {
			if o[field] == nil || o[field] != one[field] {
				ts.Fatalf("%s is %v in one and %v in the other", field, one[field], o[field])
			}
		}
		return
	}
	ts.Fatalf("no failure of seed %v", one["seed"])
}
