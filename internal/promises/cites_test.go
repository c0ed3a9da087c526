package main

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// Each line of the text that should count says "yes", each other mention "no".
const citing = `package p

// TCP-1 no: a package's
var x int // TCP-1 no

// TCP-1 yes: the test asserts
func TestA(t *testing.T) {
	a() // TCP-1 yes: beside the assertion
	if bad {
		t.Error(1)
	}

	b() // TCP-1 no: nothing is asserted up to the empty line

	// TCP-1 no
	b()

	// TCP-1 yes
	b()
	check(t)
	t.Errorf("TCP-1 yes", 1)
	log.Print("TCP-1 no")
}

// TCP-1 no: it asserts nothing
func TestB(t *testing.T) {
	t.Helper() // TCP-1 no
	_ = err.Error() // TCP-1 no: no failure of a test
	_ = fmt.Errorf("TCP-1 no")
	logger.Error("TCP-1 no")
}

// TCP-1 yes: a helper
func (p *proto) DataReceived([]byte) { p.t.Errorf("") }

// TCP-1 yes: through the helper
func TestC(t *testing.T) { new(proto).DataReceived(nil) }

// TCP-1 yes: it is given the test
func TestD(t *testing.T) { suite.Check(u.t) }

// TCP-1 yes: its output is compared
func ExampleE() {}

// TCP-1 no
type thing struct{} // TCP-1 no

func TestF(t *testing.T) {
	t.Run("TCP-1 yes", func(t *testing.T) {})
	f.Run("TCP-1 yes")
	for _, c := range []struct{ name string }{
		{"TCP-1 yes"}, // TCP-1 yes: a row
		{func() {
			b() // TCP-1 no: code in a row

			b()
		}},
	} {
		local("TCP-1 yes: by a local function")

		_ = c
	}
	local := func(s string) { t.Error(s) }

	use(cases)
	_ = T{Name: "TCP-1 no: no table"}
}

var cases = []string{
	"TCP-1 yes: a table that TestF uses",
}

var unused = []string{
	"TCP-1 no",
}
`

// TestCounted: which mentions in a test count.
func TestCounted(t *testing.T) {
	f, err := parse(fstest.MapFS{"a_test.go": {Data: []byte(citing)}}, "a_test.go")
	if err != nil {
		t.Fatal(err)
	}
	lines := folderOf([]*file{f}).counted(f)
	for i, text := range f.text {
		if want := strings.Contains(text, "TCP-1 yes"); strings.Contains(text, "TCP-1") && lines[i+1] != want {
			t.Errorf("line %d: %s: got %v", i+1, text, lines[i+1])
		}
	}
}

// A suite counts if a test elsewhere runs it.
func TestRuns(t *testing.T) {
	for text, want := range map[string]bool{
		"kerneltest.Run(t, open)":   true,
		"x.Run(t, kerneltest.Open)": false,
		"kerneltest.Walk(t, open)":  false,
	} {
		code := "package p\nfunc TestA(t *testing.T) { " + text + " }\n"
		f, err := parse(fstest.MapFS{"a_test.go": {Data: []byte(code)}}, "a_test.go")
		if err != nil {
			t.Fatal(err)
		}
		if got := f.runs("kernel/kerneltest"); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
	if !slices.Contains(suites, "testworld/transporttest") {
		t.Error("the suite of transports is none")
	}
}
