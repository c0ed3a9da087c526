package main

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// table has a line per area: its name, how many promises, and what they are
// about, separated by tabs.
//
//go:embed areas.tsv
var table string

// differences lists the promises that are kept otherwise on purpose.
const differences = "docs/differences.md"

// suite is a directory whose ordinary files are tests for others to run.
const suite = "kernel/kerneltest"

// own is where this program's tests stand. They cite numbers only as examples.
const own = "internal/promises"

// area is one line of the table, and what was found of it. The numbers are in
// rising order.
type area struct {
	Name    string `json:"area"`
	Title   string `json:"title"`
	Total   int    `json:"total"`
	Cited   []int  `json:"cited"`
	Differ  []int  `json:"differences"`
	Missing []int  `json:"missing"`
}

// citation is one mention of a promise.
type citation struct {
	File   string `json:"file"`
	Line   int    `json:"line"`
	Area   string `json:"area"`
	Number string `json:"number"`
}

func (c citation) String() string {
	return fmt.Sprintf("%s:%d: %s-%s", c.File, c.Line, c.Area, c.Number)
}

// report is what the tree says about the promises.
type report struct {
	Areas   []area     `json:"areas"`
	Unknown []citation `json:"unknown"`
}

// parseAreas reads the table.
func parseAreas(text string) ([]area, error) {
	var areas []area
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			return nil, fmt.Errorf("areas: %q is not three fields", line)
		}
		n, err := strconv.Atoi(f[1])
		if err != nil {
			return nil, fmt.Errorf("areas: %w", err)
		}
		areas = append(areas, area{Name: f[0], Total: n, Title: f[2]})
	}
	return areas, nil
}

// examine reads the tests and the differences of the tree in fsys.
func examine(fsys fs.FS, areas []area) (*report, error) {
	rep := &report{Areas: slices.Clone(areas), Unknown: []citation{}}
	pattern := citationOf(areas)
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name == own || name != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			return nil
		}
		if !isTest(name) {
			return nil
		}
		cites, err := scan(fsys, name, pattern)
		rep.add(cites, func(a *area) *[]int { return &a.Cited })
		return err
	})
	if err != nil {
		return nil, err
	}
	cites, err := scan(fsys, differences, pattern)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	rep.add(cites, func(a *area) *[]int { return &a.Differ })
	for i := range rep.Areas {
		rep.Areas[i].finish()
	}
	return rep, nil
}

func isTest(name string) bool {
	return strings.HasSuffix(name, "_test.go") || path.Dir(name) == suite && strings.HasSuffix(name, ".go")
}

// citationOf matches an area of areas with a number. What follows the number
// tells a range, which cites nothing, from a sentence's end.
func citationOf(areas []area) *regexp.Regexp {
	var list []string
	for _, a := range areas {
		list = append(list, regexp.QuoteMeta(a.Name))
	}
	return regexp.MustCompile(`(?:^|[^\w-])(` + strings.Join(list, "|") + `)-(\d+)\b(\.\.+\d)?`)
}

// scan lists what the file called name cites.
func scan(fsys fs.FS, name string, pattern *regexp.Regexp) ([]citation, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	var cites []citation
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		for _, m := range pattern.FindAllStringSubmatch(line, -1) {
			if m[3] == "" {
				cites = append(cites, citation{name, n, m[1], m[2]})
			}
		}
	}
	return cites, nil
}

// add notes cites in the list of its area that in picks, or as unknown.
func (r *report) add(cites []citation, in func(*area) *[]int) {
	for _, c := range cites {
		i := slices.IndexFunc(r.Areas, func(a area) bool { return a.Name == c.Area })
		a := &r.Areas[i]
		number, err := strconv.Atoi(c.Number)
		if err != nil || number > a.Total || c.Number[0] == '0' {
			r.Unknown = append(r.Unknown, c)
			continue
		}
		list := in(a)
		*list = append(*list, number)
	}
}

// finish sorts what was found and tells what was not.
func (a *area) finish() {
	a.Cited, a.Differ, a.Missing = unique(a.Cited), unique(a.Differ), []int{}
	for n := 1; n <= a.Total; n++ {
		if !slices.Contains(a.Cited, n) && !slices.Contains(a.Differ, n) {
			a.Missing = append(a.Missing, n)
		}
	}
}

// unique is list in rising order without repetitions, and not nil.
func unique(list []int) []int {
	list = append([]int{}, list...)
	slices.Sort(list)
	return slices.Compact(list)
}

// ranges is list, which rises, as "1, 3-5, 9".
func ranges(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		part := strconv.Itoa(list[i])
		if j > i {
			part += "-" + strconv.Itoa(list[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
