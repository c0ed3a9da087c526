package reactor_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts of testdata/script anew; commit only a difference you understand")

// stage is a place to play scripts on: kernels that reach each other.
type stage struct {
	name     string
	reactors int
	kernels  func() func(testing.TB) kernel.Kernel
}

// simSeeds is how many seeds each script is played under.
func simSeeds() uint64 {
	if raced {
		return 1 // the race detector makes everything slow, and here is one goroutine
	}
	return 20
}

// stages are every kernel of this machine with every chunk size, and simulated ones under
// some seeds; each with both ends on one reactor, and on one each.
func stages() (all []stage) {
	for reactors := 1; reactors <= 2; reactors++ {
		for name, w := range crowded(testworld.Chunked()) {
			if w.Name() == "sim" {
				continue // below, where two kernels share a network
			}
			switch c := w.Chunk(); {
			case reactors == 2 && c > 0 && c < 7:
				continue // slow, and how streams are cut has no part in who turns which reactor
			case raced && (reactors == 2 || c > 0):
				continue // as above: one goroutine
			}
			all = append(all, stage{fmt.Sprintf("%s/%d", name, reactors), reactors, func() func(testing.TB) kernel.Kernel { return w.Open }})
		}
		for seed := range simSeeds() {
			all = append(all, stage{fmt.Sprintf("sim/seed%d/%d", seed, reactors), reactors, simulated(seed)})
		}
	}
	return all
}

// simulated is a network whose seed also draws the chunk size, and in turns spurious readiness,
// latency, and small buffers.
func simulated(seed uint64) func() func(testing.TB) kernel.Kernel {
	return func() func(testing.TB) kernel.Kernel {
		n := sim.New(seed)
		n.Config.ReadBuffer = 1 << 10 // of the host's own reactor, which has nothing to do
		sizes := testworld.ChunkSizes()
		n.Options.Chunk = sizes[seed%uint64(len(sizes))]
		if seed&1 != 0 {
			n.Options.Spurious = 0.1
		}
		if seed&2 != 0 {
			n.SetLatency("localhost", "localhost", 0, 5*time.Millisecond)
		}
		if seed&4 != 0 {
			n.Options.SendBuffer, n.Options.RecvBuffer = 100, 1000
		}
		return func(testing.TB) kernel.Kernel { return n.Kernel() }
	}
}

// X-1 X-7: a scenario has one transcript, on every kernel, however streams are cut, on
// one reactor or on two.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel() // some of the time is waiting
			playFile(t, file)
		})
	}
}

// golden stands between a script and its transcript.
const golden = "\n----\n"

func playFile(t *testing.T, file string) {
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, want, _ := strings.Cut(string(content), golden)
	script, err := testworld.ParseScript(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for i, s := range stages() {
		t.Run(s.name, func(t *testing.T) {
			got := play(t, file, script, s)
			if *rewrite && i == 0 && !t.Failed() {
				want = got
			}
			if got != want {
				t.Errorf("%s: transcript\n%swant\n%s", file, got, want)
			}
		})
	}
	if *rewrite && !t.Failed() {
		if err := os.WriteFile(file, []byte(text+golden+want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// play is the transcript of script on a stage.
func play(t *testing.T, file string, script *testworld.Script, s stage) string {
	open := s.kernels()
	got, err := script.Run(s.reactors, func(c reactor.Config) *reactor.Reactor {
		c.ReadBuffer = 16 << 10 // thousands of reactors are made here
		return testworld.New(t, open(t), c)
	})
	if err != nil {
		t.Errorf("%s: %v\n%s", file, err, got)
	}
	return got
}
