//go:build !race

package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What docs/simulation.md says that a command prints is what it prints.
func TestDocumentedRun(t *testing.T) {
	text, err := os.ReadFile("../../docs/simulation.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?ms)^```\n\\$ whorl (.*?)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("no command is shown with its output")
	}
	for _, b := range blocks {
		got, err := exec.Command("whorl", strings.Fields(b[1])...).CombinedOutput() // the status is that of a failure
		if !strings.Contains(string(got), b[2]) {
			t.Errorf("whorl %s prints\n%sand ends with %v; this is not in it:\n%s", b[1], got, err, b[2])
		}
	}
}
