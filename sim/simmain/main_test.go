package simmain

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/sim"
)

// still is a world in which nothing happens.
func still(name string) sim.World {
	return sim.World{Name: name, About: "nothing but " + name, Setup: func(n *sim.Net) sim.Checks {
		n.Host("h").Start(func(*sim.Host) { n.Mark("h", name+" is there") })
		return sim.Checks{}
	}}
}

// The command line is flags and a world in any order; what is wrong is named, with what would
// be right, and the status tells which.
func TestMainFlags(t *testing.T) {
	one, two := []sim.World{still("a")}, []sim.World{still("a"), still("b")}
	page := filepath.Join(t.TempDir(), "page.html")
	for _, x := range []struct {
		worlds []sim.World
		args   string
		status int
		out    string // in standard output, or, if the status is 2, in standard error
	}{
		{one, "--seed 1 --timeline", 0, "a is there\n"},
		{one, "a --seed 1 --json", 0, `{"type":"run","world":"a","seed":1,`},
		{one, "--seed 1 --faults none", 0, " --seed 1 --faults 'none'\n"},
		{one, "--list", 0, "a            nothing but a\n"},
		{one, "--list --json", 0, `{"type":"world","name":"b","about":"nothing but b"}` + "\n"},
		{one, "--seed 1 --page " + page, 0, "page:    " + page + "\n"},
		{one, "b --seed 1", 2, `no world "b", there are: a (try: `},
		{one, "a a", 2, `"a": there is a world already, "a"`},
		{one, "--seed 1 --seeds 2", 2, "--seed and --seeds exclude each other"},
		{one, "--seed 1 --timeline --page x.html", 2, "--page draws all of a run"},
		{one, "--page x.html", 2, "--until and --page show one run: say which with --seed N"},
		{one, "--seed 1 --host x", 2, "--host=x: no such host in a, there are: h"},
		{one, "--faults cold=1", 2, `--faults: sim: faults "cold=1": there is no class "cold"`},
		{one, "--seed", 2, "flag needs an argument: -seed (try: "},
		{two, "", 0, "a            nothing but a\nb            nothing but b\n"},
		{two, "--seed 3 b --timeline", 0, " b --seed 3 --faults "},
		{two, "--seed 3", 2, "which world? There are: a, b (try: "},
		{two, "c", 2, `no world "c", there are: a, b (try: `},
		{nil, "", 1, ""},
		{[]sim.World{still("a"), still("a")}, "", 1, ""},
		{[]sim.World{{Name: "a"}}, "", 1, ""},
	} {
		if x.args == "--list --json" {
			x.worlds = two
		}
		var out, errs bytes.Buffer
		status := run(strings.Fields(x.args), strings.NewReader(""), &out, &errs, x.worlds)
		if status != x.status {
			t.Errorf("%q: status %d, want %d\n%s%s", x.args, status, x.status, &out, &errs)
		}
		said, silent := &out, &errs
		if x.status != 0 {
			said, silent = silent, said
		}
		if !strings.Contains(said.String(), x.out) || silent.Len() > 0 {
			t.Errorf("%q: want %q in\n%s\nand not\n%s", x.args, x.out, said, silent)
		}
	}
}

// Help teaches: worlds, flags, examples and faults.
func TestMainHelp(t *testing.T) {
	var out, errs bytes.Buffer
	if status := run([]string{"--help"}, nil, &out, &errs, []sim.World{still("a"), still("b")}); status != 0 || errs.Len() > 0 {
		t.Fatalf("status %d, %s", status, &errs)
	}
	for _, want := range []string{"nothing but a\n", "\n    --seed N ", "\n    --page FILE ", "\n    --timeline  ", " WORLD --seed 17 --timeline",
		"Fault classes: chunk, latency, ", "Exit status: 0 if everything held"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// A program that go run has built is run again by go run.
func TestFromGoRun(t *testing.T) {
	for program, want := range map[string]bool{
		"/tmp/go-build123/b001/exe/mine":                      true,
		"/cache/" + strings.Repeat("0a", 32) + "-d/mine":      true,
		"/home/me/bin/mine":                                   false,
		"/home/me/" + strings.Repeat("0a", 32) + "/mine":      false,
		"/home/me/" + strings.Repeat("0a", 32) + "-d/bin/run": false,
	} {
		if got := fromGoRun(filepath.FromSlash(program)); got != want {
			t.Errorf("%s: %v", program, got)
		}
	}
	for word, want := range map[string]string{"./mine": "./mine", "/my dir/it's": `'/my dir/it'\''s'`, "": "''"} {
		if got := quoted(word); got != want {
			t.Errorf("%q is quoted as %s", word, got)
		}
	}
}
