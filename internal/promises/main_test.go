package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

// The table is complete: 824 promises in 43 areas, none of them twice.
func TestTable(t *testing.T) {
	areas, err := parseAreas(table)
	if err != nil {
		t.Fatal(err)
	}
	sum, seen := 0, map[string]bool{}
	for _, a := range areas {
		if a.Total < 1 || a.Title == "" || seen[a.Name] {
			t.Errorf("bad line: %+v", a)
		}
		seen[a.Name] = true
		sum += a.Total
	}
	if sum != 824 || len(areas) != 43 {
		t.Errorf("%d promises in %d areas; want 824 in 43", sum, len(areas))
	}
}

func TestParseAreasRefuses(t *testing.T) {
	for _, text := range []string{"TCP 1 x\n", "TCP\t1\n", "TCP\tmany\tx\n", "\n"} {
		if areas, err := parseAreas(text); err == nil {
			t.Errorf("%q: got %v", text, areas)
		}
	}
}

// Which text cites what.
func TestScan(t *testing.T) {
	areas := []area{{Name: "X"}, {Name: "UNIX"}, {Name: "UNIXD"}, {Name: "TCP"}}
	for text, want := range map[string]string{
		"// TCP-59 says so":        "TCP-59",
		"TCP-59":                   "TCP-59",
		`t.Run("TCP-5: TCP-6")`:    "TCP-5 TCP-6",
		"(TCP-1,TCP-2)":            "TCP-1 TCP-2",
		"ends with TCP-7.":         "TCP-7",
		"ends with TCP-7...":       "TCP-7",
		"TCP-59/60":                "TCP-59",
		"TCP-8, 9":                 "TCP-8",
		"TCP-1..5":                 "",
		"TCP-1...5":                "",
		"TCP-1x":                   "",
		"UDP-1":                    "",
		"MAX-1 NO-X-1 _X-1 TCP 1":  "",
		"UNIXD-2 UNIX-3 X-4":       "UNIXD-2 UNIX-3 X-4",
		"TCP-x TCP- tcp-1 TCP_1":   "",
		"TCP-007 and TCP-99999999": "TCP-007 TCP-99999999",
	} {
		fsys := fstest.MapFS{"a_test.go": {Data: []byte("\n" + text + "\n")}}
		cites, err := scan(fsys, "a_test.go", citationOf(areas))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range cites {
			if c.Line != 2 || c.File != "a_test.go" {
				t.Errorf("%q stands at %s:%d", text, c.File, c.Line)
			}
			got = append(got, c.Area+"-"+c.Number)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q cites %q, want %q", text, got, want)
		}
	}
}

func TestExamine(t *testing.T) {
	tree := fstest.MapFS{}
	for name, text := range map[string]string{
		"reactor/a_test.go":             "// TCP-2 TCP-1\n// TCP-2\n",
		"bench/b_test.go":               "// ERR-4\n",
		"kernel/kerneltest/suite.go":    "// TCP-5\n",
		"kernel/kernel.go":              "// TCP-6: not a test\n",
		"kernel/kerneltest/sub/x.go":    "// TCP-6: not the suite\n",
		".hidden/c_test.go":             "// TCP-7\n",
		"internal/promises/own_test.go": "// TCP-8 TCP-1000\n",
		"docs/differences.md":           "- TCP-10: otherwise.\n- TCP-1: too.\n- ERR-5: what?\n",
		"sim/d_test.go":                 "\n// ERR-0 ERR-04\n",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	rep, err := examine(tree, []area{{Name: "TCP", Total: 10}, {Name: "ERR", Total: 4}})
	if err != nil {
		t.Fatal(err)
	}
	want := &report{
		Areas: []area{
			{Name: "TCP", Total: 10, Cited: []int{1, 2, 5}, Differ: []int{1, 10}, Missing: []int{3, 4, 6, 7, 8, 9}},
			{Name: "ERR", Total: 4, Cited: []int{4}, Differ: []int{}, Missing: []int{1, 2, 3}},
		},
		Unknown: []citation{{"sim/d_test.go", 2, "ERR", "0"}, {"sim/d_test.go", 2, "ERR", "04"}, {"docs/differences.md", 3, "ERR", "5"}},
	}
	if !reflect.DeepEqual(rep, want) {
		t.Errorf("got  %+v\nwant %+v", rep, want)
	}
}

func TestRanges(t *testing.T) {
	for want, list := range map[string][]int{
		"":                nil,
		"1":               {1},
		"1-2":             {1, 2},
		"1, 3-5, 7, 9-10": {1, 3, 4, 5, 7, 9, 10},
	} {
		if got := ranges(list); got != want {
			t.Errorf("%v: got %q, want %q", list, got, want)
		}
	}
}

// tree writes a tree whose one test says text.
func tree(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a_test.go"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// It fails only when told what is required, and then for what is missing or
// does not exist.
func TestRun(t *testing.T) {
	all := "// ERR-1 ERR-2 ERR-3 ERR-4\n"
	for _, c := range []struct {
		text, require, want string
	}{
		{"// ERR-1\n", "", ""},
		{"// ERR-1 ERR-9\n", "", ""},
		{all, "ERR", ""},
		{"// ERR-1\n", "ERR", "ERR: no test cites 2-4"},
		{all, "ERR,ADDR", "ADDR: no test cites 1-7"},
		{all + "// TCP-83\n", "ERR", "a_test.go:2: TCP-83: there is no such promise"},
		{all, "ERRR", `there is no area "ERRR"`},
	} {
		var out bytes.Buffer
		err := run([]string{"-root", tree(t, c.text), "-require", c.require}, &out)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"-root", tree(t, "// ERR-2 ERR-9\n")}, &out); err != nil {
		t.Fatal(err)
	}
	squeezed := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"ERR 4 1 0 3 errors 1, 3-4 ",
		"ADDR 7 0 0 7 addresses 1-7 ",
		"all 824 1 0 823 ",
		"a_test.go:1: ERR-9: there is no such promise",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"-json", "-root", tree(t, "// ERR-2 ERR-9\n")}, &out); err != nil {
		t.Fatal(err)
	}
	var rep report
	if err := json.Unmarshal(out.Bytes(), &rep); err != nil {
		t.Fatal(err)
	}
	want := []citation{{"a_test.go", 1, "ERR", "9"}}
	if len(rep.Areas) != 43 || !reflect.DeepEqual(rep.Unknown, want) {
		t.Errorf("%d areas, unknown %v", len(rep.Areas), rep.Unknown)
	}
}
