package testworld_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// What is wrong in a script is told with its line and what was expected.
func TestScriptErrors(t *testing.T) {
	for script, want := range map[string]string{
		"frobnicate":                         `line 1: found "frobnicate": expected one of listen, dial, write`,
		"\n# comment\n  listen":              `line 3: found the end of the line: expected a new name (listen NAME [half]`,
		"listen srv\nlisten srv":             `line 2: found "srv": expected a new name`,
		"listen refused":                     `found "refused": expected a new name`,
		"listen srv loud":                    `found "loud": expected an option: half, echo, refuse, high, low, max`,
		"listen srv half=1":                  `found "half=1": expected an option`,
		"listen srv high=-1":                 `found "high=-1": expected an option`,
		"listen srv high=x":                  `found "high=x": expected an option`,
		"listen srv timeout=1s":              `found "timeout=1s": expected an option`,
		"dial cli":                           `found the end of the line: expected the name of a port`,
		"dial cli*x refused":                 `found "x": expected a number from 1 to 1000`,
		"dial cli*0 refused":                 `found "0": expected a number from 1 to 1000`,
		"dial cli srv":                       `line 1: "srv" is the name of nothing: expected that of a port`,
		"dial cli refused\ndial b cli":       `line 2: "cli" is the name of a dial: expected that of a port`,
		"dial cli refused timeout=0s":        `found "timeout=0s": expected an option`,
		"write cli 1":                        `line 1: "cli" is the name of nothing: expected that of a dial or a port`,
		"listen srv\nwrite srv x":            `line 2: found "x": expected a number of bytes or a text in quotes (write NAME BYTES)`,
		"listen srv\nwrite srv -1":           `found "-1": expected a number of bytes`,
		"listen srv\nwrite srv 99999999999":  `expected a number of bytes`,
		"listen srv\nwrite srv 1 2":          `line 2: found "2": expected the end of the line`,
		"listen srv\nwrite srv \"x":          `line 2: "x: expected a text in quotes, as Go writes it`,
		"listen srv\nclose \"srv\"":          `found "srv": expected the name of a dial`,
		"listen srv\nproducer srv hop 1 1":   `found "hop": expected one of push, pull, idle`,
		"listen srv\non srv bored close srv": `found "bored": expected one of built, made, data`,
		"listen srv\non srv made":            `line 2: found the end of the line: expected a command`,
		"listen srv\non srv made wait srv":   `found "wait": expected a command; this one stands only at the begin of a line`,
		"post listen srv":                    `found "listen": expected a command; this one stands only at the begin of a line`,
		"panic \"x\"":                        `found "panic": expected a command; this one stands only behind on, post or timer`,
		"timer t soon say \"x\"":             `found "soon": expected a time such as 5ms`,
		"timer t -1s say \"x\"":              `found "-1s": expected a time such as 5ms`,
		"say hello":                          `found "hello": expected a text in quotes`,
		"turn 0":                             `found "0": expected a number from 1 to 1000`,
		"cancel x":                           `"x" is the name of nothing: expected that of a dial or a timer`,
		"listen srv\nhide srv errors":        `found "errors": expected one of data, reason, producing, everything`,
	} {
		_, err := testworld.ParseScript(script)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s", script, err, want)
		}
	}
}

// run plays a script on a simulated kernel.
func run(t *testing.T, text string) (string, error) {
	t.Helper()
	s, err := testworld.ParseScript(text)
	if err != nil {
		t.Fatal(err)
	}
	k := sim.OpenKernel(1)
	return s.Run(1, func(c reactor.Config) *reactor.Reactor { return testworld.New(t, k, c) })
}

// A command that cannot be carried out ends the run with its line.
func TestScriptFailures(t *testing.T) {
	for script, want := range map[string]string{
		"listen srv\nwrite srv 1":                                            "line 2: write: there is no connection of srv yet: wait for it",
		"listen srv\ndial cli srv\nclose cli":                                "line 3: close: cli is not connected yet: wait for it",
		"on srv made close cli\ndial cli srv\nlisten srv":                    "line 2: dial: srv does not listen yet",
		"timer t 1ms say \"x\"\nlisten srv\ncancel u\ntimer u 1ms say \"y\"": "line 3: cancel: the timer u was not started yet",
		"listen srv\ndial cli srv\nwait cli lost":                            "line 3: wait: 0 of 1 connections of cli have come to that, after 30s",
		"listen srv\ndial cli srv":                                           "a connection of srv has not, after 30s",
		"listen srv low=5 high=5":                                            "line 1: listen: listen tcp 127.0.0.1:0: LowWater must be",
	} {
		got, err := run(t, script)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\nwant %s\n%s", script, err, want, got)
		}
	}
}

// A transcript merges runs of data and ends that are alike, keeps the order of
// everything else, and names errors by what they are.
func TestScriptTranscript(t *testing.T) {
	got, err := run(t, `
		listen srv
		on srv made write srv "a \"quoted\" text"
		on srv lost write srv "x"
		dial cli*2 srv
		wait cli bytes 15
		mark cli "here"
		write cli 100
		close cli
		wait srv lost 2
		dial none refused
		wait none failed
		post panic "one"
		turn 1
		say "done"
	`)
	want := `srv, 2 times
  made
  data 100 #de239011
  lost eof
  write refused: closed
cli, 2 times
  made
  dialled
  data 15 "a \"quoted\" text"
  - here
  lost closed
none
  failed refused
said
  done
panics
  one
`
	if err != nil || got != want {
		t.Errorf("%v\n%s\nwant\n%s", err, got, want)
	}
}

// The parts of a transcript that may be hidden are not in it.
func TestScriptHide(t *testing.T) {
	for _, what := range []string{"data", "producing", "reason", "everything"} {
		got, err := run(t, fmt.Sprintf("hide srv %s\nhide cli %[1]s\nlisten srv\ndial cli srv high=1\n"+
			"on cli finished close cli\nwait cli dialled\nwait srv made\nproducer cli push 9 2", what))
		if err != nil {
			t.Fatal(err)
		}
		if shown := strings.Contains(got, "data 9"); shown != (what == "reason" || what == "producing") {
			t.Errorf("hide %s: %s", what, got)
		}
		if shown := strings.Contains(got, "paused"); shown != (what == "reason" || what == "data") {
			t.Errorf("hide %s: %s", what, got)
		}
		if shown := strings.Contains(got, "lost eof"); shown != (what == "data" || what == "producing") {
			t.Errorf("hide %s: %s", what, got)
		}
		if (got == "") != (what == "everything") {
			t.Errorf("hide %s: %q", what, got)
		}
	}
}

// A difference between kernels is a difference between transcripts: one byte that is
// lost, one callback that is missing, another error.
func TestScriptSeesDifferences(t *testing.T) {
	const text = "listen srv\ndial cli srv\nwait cli dialled\nwait srv made\nwrite cli 300\nclose cli"
	script, err := testworld.ParseScript(text)
	if err != nil {
		t.Fatal(err)
	}
	transcript := func(f *testworld.Faults) string {
		k := f.Wrap(sim.OpenKernel(1))
		got, err := script.Run(1, func(c reactor.Config) *reactor.Reactor { return testworld.New(t, k, c) })
		if err != nil {
			t.Error(err)
		}
		return got
	}
	right := transcript(&testworld.Faults{})
	if cut := transcript(&testworld.Faults{MaxRead: 7, MaxWrite: 3}); cut != right {
		t.Errorf("X-7: cut in pieces\n%swant\n%s", cut, right)
	}
	reset := transcript(&testworld.Faults{Read: failThird(kernel.ErrReset)})
	if reset == right || !strings.Contains(reset, "lost reset") {
		t.Errorf("with a read that fails\n%s", reset)
	}
}

// failThird fails the third call and those behind it.
func failThird(err error) func() error {
	n := 0
	return func() error {
		if n++; n < 3 {
			return nil
		}
		return err
	}
}

// The package comment tells of every command, with its arguments.
func TestScriptDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, err = testworld.ParseScript("?")
	_, list, found := strings.Cut(fmt.Sprint(err), "expected one of ")
	if !found {
		t.Fatal(err)
	}
	for _, verb := range strings.Split(list, ", ") {
		// The usage is what the error of a command without arguments has in brackets.
		_, err := testworld.ParseScript("post " + verb)
		if err != nil && strings.Contains(err.Error(), "stands only at the begin") {
			_, err = testworld.ParseScript(verb)
		}
		_, usage, _ := strings.Cut(fmt.Sprint(err), "("+verb)
		if usage = strings.TrimSuffix(usage, ")"); err == nil || usage == "" {
			t.Errorf("%s: no usage in %v", verb, err)
		}
		if !strings.Contains(string(doc), "//\t"+verb+usage+"\n") {
			t.Errorf("doc.go does not have %q", verb+usage)
		}
	}
}

// No script makes the parser fail otherwise than with an error, and an error names
// a line.
func FuzzParseScript(f *testing.F) {
	files, err := filepath.Glob("../reactor/testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := testworld.ParseScript(text)
		switch {
		case err == nil && s == nil:
			t.Error("neither a script nor an error")
		case err != nil && !strings.HasPrefix(err.Error(), "line "):
			t.Errorf("an error without a line: %v", err)
		}
	})
}
