//go:build !race

// Everything here happens in processes that are built without the race detector.

package simmain_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mine makes a module of somebody else: the program in testdata, and a go.mod that knows this
// repository. Nothing is asked of the network.
func mine(t *testing.T) (dir string) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/mine")); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	mod := "module example.com/mine\n\ngo 1.26.0\n\nrequire github.com/whorl-go/whorl v0.0.0\n\nreplace github.com/whorl-go/whorl => " + root + "\n"
	for name, text := range map[string]string{"go.mod": mod, "go.sum": string(sums)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sh runs a line in a shell, with nothing from the network, and returns its output and
// status. A failed go run has status 1, whatever the program's was.
func sh(t *testing.T, dir, line string) (out string, status int) {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off", "GOTOOLCHAIN=local", "WHORL_SEED=", "WHORL_SEEDS=", "WHORL_FAULTS=")
	text, err := cmd.CombinedOutput()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		status = e.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return string(text), status
}

// wants holds an output against patterns, one a line of it.
func wants(t *testing.T, line, out string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)" + p).MatchString(out) {
			t.Errorf("%s: no line matches %s in\n%s", line, p, out)
		}
	}
}

// field is the value behind a name in an output.
func field(out, name string) string {
	_, rest, _ := strings.Cut("\n"+out, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(value)
}

// A world in a module of its own has seeds, replay, timeline and page, with a main function
// of one line.
func TestOwnModule(t *testing.T) {
	dir := mine(t)
	run := func(line string, want int, patterns ...string) string {
		t.Helper()
		out, status := sh(t, dir, line)
		if status != want {
			t.Fatalf("%s: status %d, want %d\n%s", line, status, want, out)
		}
		wants(t, line, out, patterns...)
		return out
	}
	shown := run("go run . --seed 3 --timeline", 0,
		`^ +0\.000000s  srv  the program starts$`, `^ +[0-9.]+s  srv  - data #[0-9]+, 5 bytes$`, `^world:   greetings$`,
		`^outcome: everything held$`, `^hash:    [0-9a-f]{16}$`, `^replay:  go run example\.com/mine --seed 3 --faults '[^']+'$`)
	again := run(field(shown, "replay"), 0, `^outcome: everything held$`)
	if field(again, "hash") != field(shown, "hash") || strings.Contains(again, "the program starts") {
		t.Errorf("replayed:\n%s\nwas\n%s", again, shown)
	}
	run("go run . --seed 3 --page run.html", 0, `^page:    run\.html$`)
	page, err := os.ReadFile(filepath.Join(dir, "run.html"))
	if err != nil {
		t.Fatal(err)
	}
	wants(t, "the page", string(page), `<title>greetings, seed 3</title>`, `<code id="replay">go run example\.com/mine --seed 3 `)
	run("go run . --seeds 20 --quiet", 0, `^greetings: 20 seeds, 0 failed, .* of simulated time in .* seeds/s$`)
	run("go run . greetings --seeds 1..3 --json --jobs 2", 0, `^\{"type":"summary","world":"greetings","seeds":3,"ran":3,"failed":0,`)
	run("go run . --list", 0, `^greetings +a client that says hello, and a server that counts$`)
	run("go run . --seed x", 1, `invalid value "x" for flag -seed: expected a whole number, as in --seed 17 \(try: go run example\.com/mine --help\)$`, `^exit status 2$`)
}

// The line that a failed test prints is a command that fails in the same way, anywhere in the
// module.
func TestReplayOfTest(t *testing.T) {
	dir := mine(t)
	out, status := sh(t, dir, "go test .")
	if status != 1 {
		t.Fatalf("status %d\n%s", status, out)
	}
	wants(t, "go test", out, `cut: seed [0-9]+: always, in phase faults at .*: a link is cut$`)
	m := regexp.MustCompile(`(?m)seed: +([0-9]+)$[^$]*?replay: +(.*)$`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no replay line in\n%s", out)
	}
	if err := os.Mkdir(filepath.Join(dir, "below"), 0o777); err != nil {
		t.Fatal(err)
	}
	again, status := sh(t, filepath.Join(dir, "below"), m[2])
	if status != 1 || strings.Count(again, ": a link is cut") != 1 {
		t.Errorf("%s: status %d\n%s", m[2], status, again)
	}
	wants(t, m[2], again, `^ +seed: +`+m[1]+`$`, `^ +matter: +(partition|oneway|hold)$`)
}
