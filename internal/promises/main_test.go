package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// TestScan: which texts cite which promises.
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
	tree := listed("TCP: tcp", 10, "ERR: errors", 4)
	for name, text := range map[string]string{
		"reactor/a_test.go":           "package p\n\n// TCP-2 TCP-1\n// TCP-2\nfunc TestA(t *testing.T) { t.FailNow() }\n// TCP-4\nfunc TestB(t *testing.T) {}\n",
		"bench/b_test.go":             "package p\n\n// ERR-4\nfunc TestA(t *testing.T) { t.Error(4) }\n",
		"kernel/kerneltest/suite.go":  "package p\n\n// TCP-5\nfunc check(g *rig) { g.Errorf(\"\") }\n",
		"kernel/native/suite_test.go": "package p\n\nfunc TestSuite(t *testing.T) { kerneltest.Run(t, open) }\n",
		// Nobody runs this suite.
		"testworld/transporttest/suite.go": "package p\n\n// TCP-6\nfunc check(g *rig) { g.Errorf(\"\") }\n",
		"kernel/kernel.go":                 "// TCP-6: not a test\n// TCP-11\n",
		"docs/loop.md":                     "TCP-7: not a test either. TCP-12 (ERR-1)\n",
		"docs/loop.txt":                    "TCP-13\n",
		"kernel/kerneltest/sub/x.go":       "// TCP-6: not the suite\n",
		".hidden/c_test.go":                "// TCP-7\n",
		"internal/promises/own_test.go":    "// TCP-8 TCP-1000\n",
		"docs/differences.md":              "TCP-9: no item.\n- TCP-10: otherwise than TCP-9.\n* TCP-1: too.\n- ERR-5: what?\n",
		"sim/d_test.go":                    "package p\n// ERR-0 ERR-04\n",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	rep, err := examine(tree)
	if err != nil {
		t.Fatal(err)
	}
	want := &report{
		Areas: []area{
			{Name: "TCP", Title: "tcp", Total: 10, Cited: []int{1, 2, 5}, Differ: []int{1, 10}, Missing: []int{3, 4, 6, 7, 8, 9}},
			{Name: "ERR", Title: "errors", Total: 4, Cited: []int{4}, Differ: []int{}, Missing: []int{1, 2, 3}},
		},
		Unknown: []citation{
			{File: "docs/differences.md", Line: 4, Area: "ERR", Number: "5", item: true},
			{File: "docs/loop.md", Line: 1, Area: "TCP", Number: "12"},
			{File: "kernel/kernel.go", Line: 2, Area: "TCP", Number: "11"},
			{File: "sim/d_test.go", Line: 2, Area: "ERR", Number: "0"},
			{File: "sim/d_test.go", Line: 2, Area: "ERR", Number: "04"},
		},
		Unmarked: []citation{
			{File: "docs/promises/0.md", Line: 2, Area: "TCP", Number: "1", item: true},
			{File: "docs/promises/0.md", Line: 11, Area: "TCP", Number: "10", item: true},
		},
		Marked: []citation{},
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

// listed returns a listing. Each area has its own document, and is given as a heading and
// a number of promises.
func listed(areas ...any) fstest.MapFS {
	fsys := fstest.MapFS{}
	contents := ""
	for i := 0; i < len(areas); i += 2 {
		name, _, _ := strings.Cut(areas[i].(string), ":")
		doc := strconv.Itoa(i/2) + ".md"
		contents += fmt.Sprintf("[%s](%s#x)\n", name, doc)
		text := fmt.Sprintf("## %s\n", areas[i])
		for n := range areas[i+1].(int) {
			text += fmt.Sprintf("* <a id=\"%s-%d\"></a>%s-%d: so.\n", strings.ToLower(name), n+1, name, n+1)
		}
		fsys[listing+"/"+doc] = &fstest.MapFile{Data: []byte(text)}
	}
	fsys[index] = &fstest.MapFile{Data: []byte(contents)}
	return fsys
}

// tree writes a tree that lists ERR-1 to ERR-4 and ADDR-1 to ADDR-7. Its only test has
// this text.
func tree(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	fsys := listed("ERR: errors", 4, "ADDR: addresses", 7)
	fsys["a_test.go"] = &fstest.MapFile{Data: []byte(text)}
	if err := os.CopyFS(dir, fsys); err != nil {
		t.Fatal(err)
	}
	return dir
}

// cited is a test that cites numbers.
func cited(numbers string) string {
	return "package p\n\n// " + numbers + "\nfunc TestA(t *testing.T) { t.Error(1) }\n"
}

// The program fails for numbers that do not exist, and for missing numbers of a required
// area.
func TestRun(t *testing.T) {
	all := cited("ERR-1 ERR-2 ERR-3 ERR-4")
	for _, c := range []struct {
		text, require, want string
	}{
		{cited("ERR-1"), "", ""},
		{cited("ERR-1 ERR-9"), "", "a_test.go:3: ERR-9: docs/promises has no such promise"},
		{all, "ERR", ""},
		{cited("ERR-1"), "ERR", "ERR: no test cites 2-4"},
		{all, "ERR,ADDR", "ADDR: no test cites 1-7"},
		{all + "// ADDR-8\n", "ERR", "a_test.go:5: ADDR-8: docs/promises has no such promise"},
		{all, "ERRR", `there is no area "ERRR"`},
	} {
		var out bytes.Buffer
		err := run([]string{"-root", tree(t, c.text), "-require", c.require}, &out)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
	if err := run([]string{"-root", tree(t, "no Go"), "-require", "ERR"}, new(bytes.Buffer)); err == nil {
		t.Error("a test that cannot be parsed is accepted")
	}
}

// An entry and the differences must agree.
func TestMarks(t *testing.T) {
	for _, c := range []struct {
		text, differences, want string
	}{
		{"so.", "", ""},
		{"so. " + mark, "* ERR-1: so.\n", ""},
		{"so.", "* ERR-1: so.\n", "a.md:2: ERR-1 has a line in docs/differences.md: end the entry with"},
		{"so. " + mark, "* ERR-2: as ERR-1.\n", "a.md:2: ERR-1 has no line in docs/differences.md: take"},
	} {
		fsys := fstest.MapFS{
			index:             {Data: []byte("[ERR](a.md#err)")},
			listing + "/a.md": {Data: []byte("## ERR: errors\n" + `* <a id="err-1"></a>ERR-1: ` + c.text + "\n" + `* <a id="err-2"></a>ERR-2: so.`)},
			differences:       {Data: []byte(c.differences)},
		}
		rep, err := examine(fsys)
		if err != nil {
			t.Fatal(err)
		}
		err = rep.verdict(nil)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

func TestPrint(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"-root", tree(t, cited("ERR-2"))}, &out); err != nil {
		t.Fatal(err)
	}
	squeezed := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"ERR 4 1 0 3 errors 1, 3-4 ADDR 7 0 0 7 addresses 1-7 ",
		"all 11 1 0 10",
	} {
		if !strings.Contains(squeezed, want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestJSON(t *testing.T) {
	var out bytes.Buffer
	if err := run([]string{"-json", "-root", tree(t, cited("ERR-2 ERR-9"))}, &out); err == nil {
		t.Error("an unknown number is no failure")
	}
	var rep report
	if err := json.Unmarshal(out.Bytes(), &rep); err != nil {
		t.Fatal(err)
	}
	want := []citation{{File: "a_test.go", Line: 3, Area: "ERR", Number: "9"}}
	if len(rep.Areas) != 2 || !reflect.DeepEqual(rep.Unknown, want) {
		t.Errorf("%d areas, unknown %v", len(rep.Areas), rep.Unknown)
	}
}
