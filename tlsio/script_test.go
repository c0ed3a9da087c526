package tlsio_test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

var rewrite = flag.Bool("rewrite", false, "write the transcripts of testdata/script anew; commit only a difference you understand")

// differences are the scripts of package reactor that come out otherwise over TLS, and why.
// Those with a counterpart in testdata/script are told there as TLS has them.
func differences() map[string]string {
	const (
		early   = "its connections end before the handshake is over (TLS-21, TLS-22, TLS-23)"
		records = "its writes become one record, in one step above the marks or behind the callback (TLS-10)"
		deaf    = "a peer that does not read does not answer close_notify, and Close waits for it (TLS-26)"
	)
	return map[string]string{
		"cancel": early, "cancel_in_built": early, "close_both": early, "close_in_lost": early,
		"close_in_producer": records, "close_in_producer_end": records, "no_protocol": early,
		"panic_client": early, "panic_producer": records, "panic_server": early, "pause_eof": deaf,
		"producer_lost": early, "producer_paused_peer": records, "producer_pull": records,
		"producer_push": records, "write_after_close": early,
	}
}

// TLS-1, X-7: a scenario of plain connections has the same transcript over TLS, on every kernel and
// however the ciphertext is cut, on one reactor or on two; and so have those of TLS.
func TestScripts(t *testing.T) {
	different := differences()
	for _, dir := range []string{"../reactor/testdata/script", "testdata/script"} {
		files, err := filepath.Glob(dir + "/*.txt")
		if err != nil || len(files) == 0 {
			t.Fatalf("no scripts in %s: %v", dir, err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".txt")
			own := dir == "testdata/script"
			if own {
				name = "own/" + name
			}
			t.Run(name, func(t *testing.T) {
				if why := different[name]; why != "" {
					t.Skip(why)
				}
				t.Parallel() // some of the time is waiting
				playFile(t, file, own)
			})
		}
	}
}

// A script that is said to differ is one, and does.
func TestScriptDifferences(t *testing.T) {
	for name := range differences() {
		file := "../reactor/testdata/script/" + name + ".txt"
		script, want := readScript(t, file)
		open := simulations()[0].open()
		got, err := script.Run(1, func(c reactor.Config) *reactor.Reactor { return testworld.New(t, open(t), c) })
		if err == nil && got == want {
			t.Errorf("%s is as without TLS", file)
		}
	}
}

// readScript is a script, over TLS, and the transcript it should have.
func readScript(t *testing.T, file string) (script *testworld.Script, want string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, want, _ := strings.Cut(string(content), golden)
	script, err = testworld.ParseScript(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	sc, cc := configs(tls.VersionTLS13)
	o := &tlsio.Options{Stack: tlsio.StackLoop}
	return script.Over(func(f reactor.Factory) reactor.Factory { return tlsio.Server(sc, f, o) },
		func(f reactor.Factory) reactor.Factory { return tlsio.Client(cc, f, o) }), want
}

// golden stands between a script and its transcript.
const golden = "\n----\n"

func playFile(t *testing.T, file string, own bool) {
	script, want := readScript(t, file)
	for i, s := range scriptStages() {
		t.Run(s.name, func(t *testing.T) {
			open := s.open()
			got, err := script.Run(s.reactors, func(c reactor.Config) *reactor.Reactor {
				c.ReadBuffer = 16 << 10
				return testworld.New(t, open(t), c)
			})
			if err != nil {
				t.Errorf("%s: %v\n%s", file, err, got)
			}
			if *rewrite && own && i == 0 {
				want = got
			}
			if got != want {
				t.Errorf("%s: transcript\n%swant\n%s", file, got, want)
			}
		})
	}
	if *rewrite && own && !t.Failed() {
		content, _ := os.ReadFile(file)
		text, _, _ := strings.Cut(string(content), golden)
		if err := os.WriteFile(file, []byte(strings.TrimSuffix(text, "\n")+"\n"+golden[1:]+want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// scriptStage is a place to play scripts on: kernels that reach each other.
type scriptStage struct {
	name     string
	reactors int
	open     func() func(testing.TB) kernel.Kernel
}

// scriptStages are simulations, and every kernel of this machine with whole chunks and with small ones.
func scriptStages() []scriptStage {
	all := simulations()
	for name, w := range testworld.Chunked() {
		if w.Simulated() || !slices.Contains([]int{0, 3}, w.Chunk()) || raced && w.Chunk() > 0 {
			continue
		}
		all = append(all, scriptStage{name, 1, func() func(testing.TB) kernel.Kernel { return w.Crowded().Open }})
		if raced {
			break
		}
	}
	return all
}

// simulations are networks whose seed also draws the chunk size and latency.
func simulations() (all []scriptStage) {
	seeds := uint64(3)
	if raced {
		seeds = 1
	}
	for seed := range seeds {
		reactors := 1 + int(seed%2)
		all = append(all, scriptStage{fmt.Sprintf("sim/seed%d/%d", seed, reactors), reactors, func() func(testing.TB) kernel.Kernel {
			n := sim.New(seed)
			n.Config.ReadBuffer = 1 << 10 // of the host's own reactor, which has nothing to do
			sizes := testworld.ChunkSizes()
			n.Options.Chunk = sizes[len(sizes)-1-int(seed)%len(sizes)]
			if seed&2 != 0 {
				n.SetLatency("localhost", "localhost", 0, 5*time.Millisecond)
			}
			return func(testing.TB) kernel.Kernel { return n.Kernel() }
		}})
	}
	return all
}
