package main

import (
	"path/filepath"
	"slices"
	"testing"
)

// The PWD of a program is the directory of --dir, also a relative one, unless --env says otherwise.
func TestExecDir(t *testing.T) {
	t.Setenv("PWD", "/elsewhere")
	want, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	c := execCommand{Command: []string{"--", "/bin/sh"}, Dir: "testdata", Size: "80x24", Children: 1}
	for _, pwd := range []string{want, "/said"} {
		x, err := c.service()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(x.Environ, "PWD="+pwd) || slices.Contains(x.Environ, "PWD=/elsewhere") {
			t.Errorf("the environment has no PWD=%s: %q", pwd, x.Environ)
		}
		c.Env = []string{"PWD=/said"}
	}
}
