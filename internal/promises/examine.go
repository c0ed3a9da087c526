package main

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// differences lists the promises that Whorl deliberately keeps in another way.
const differences = "docs/differences.md"

// own has this program's tests. They cite numbers only as examples.
const own = "internal/promises"

// area is one heading of the listing, with what was found about it. The numbers are in
// rising order.
type area struct {
	Name    string `json:"area"`
	Title   string `json:"title"`
	State   string `json:"state,omitempty"` // empty: built
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
	item   bool   // the line is an item of a list and begins with it
}

func (c citation) String() string {
	return fmt.Sprintf("%s:%d: %s-%s", c.File, c.Line, c.Area, c.Number)
}

// report is the result for the whole tree.
type report struct {
	Areas []area `json:"areas"`
	// Unknown are the mentions of promises that do not exist.
	Unknown []citation `json:"unknown"`
	// Unmarked are the differences whose entry in the listing is not marked. Marked are
	// the entries that are marked and are no differences.
	Unmarked []citation `json:"unmarked"`
	Marked   []citation `json:"marked"`
}

// examine reads the listing, the tests, the differences, and everything else in the tree
// that mentions promises.
func examine(fsys fs.FS) (*report, error) {
	areas, entries, err := readListing(fsys)
	if err != nil {
		return nil, err
	}
	rep := &report{Areas: areas, Unknown: []citation{}, Unmarked: []citation{}, Marked: []citation{}}
	pattern := citationOf(areas)
	counts, err := countedLines(fsys)
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(name)
		}
		in := listOf(name, counts[name])
		if in == nil {
			return nil
		}
		cites, err := scan(fsys, name, pattern)
		rep.add(cites, in)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range rep.Areas {
		rep.Areas[i].finish()
	}
	rep.compare(entries)
	return rep, nil
}

// enter returns fs.SkipDir if the directory called name is not read.
func enter(name string) error {
	if name == own || name != "." && strings.HasPrefix(path.Base(name), ".") {
		return fs.SkipDir
	}
	return nil
}

// countedLines returns the lines of each test file on which a number cites.
func countedLines(fsys fs.FS) (map[string]map[int]bool, error) {
	folders := map[string][]*file{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return enter(name)
		}
		if !isTest(name) {
			return nil
		}
		f, err := parse(fsys, name)
		if err == nil {
			folders[path.Dir(name)] = append(folders[path.Dir(name)], f)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	counts := map[string]map[int]bool{}
	for dir, files := range folders {
		if slices.Contains(suites, dir) && !isRun(folders, dir) {
			continue
		}
		d := folderOf(files)
		for _, f := range files {
			counts[f.name] = d.counted(f)
		}
	}
	return counts, nil
}

// isRun reports whether a test outside of dir runs the suite in dir.
func isRun(folders map[string][]*file, dir string) bool {
	for other, files := range folders {
		if other != dir && slices.ContainsFunc(files, func(f *file) bool { return f.runs(dir) }) {
			return true
		}
	}
	return false
}

// listOf returns a function that says which list of an area takes a mention in the file
// called name. In a test only the mentions on the lines in counted are taken. It returns
// nil if the file is not read.
func listOf(name string, counted map[int]bool) func(*area, citation) *[]int {
	switch {
	case name == differences:
		return func(a *area, c citation) *[]int {
			if c.item {
				return &a.Differ
			}
			return nil
		}
	case isTest(name):
		return func(a *area, c citation) *[]int {
			if counted[c.Line] {
				return &a.Cited
			}
			return nil
		}
	case strings.HasSuffix(name, ".go"), strings.HasSuffix(name, ".md"):
		return func(*area, citation) *[]int { return nil }
	}
	return nil
}

// compare finds entries whose mark disagrees with the differences.
func (r *report) compare(entries []entry) {
	for _, e := range entries {
		number, _ := strconv.Atoi(e.Number)
		i := slices.IndexFunc(r.Areas, func(a area) bool { return a.Name == e.Area })
		switch differs := slices.Contains(r.Areas[i].Differ, number); {
		case differs && !e.differs:
			r.Unmarked = append(r.Unmarked, e.citation)
		case !differs && e.differs:
			r.Marked = append(r.Marked, e.citation)
		}
	}
}

func isTest(name string) bool {
	return strings.HasSuffix(name, "_test.go") || slices.Contains(suites, path.Dir(name)) && strings.HasSuffix(name, ".go")
}

// citationOf returns an expression for an area of areas and a number. Its last group
// matches the rest of a range, such as TCP-1..5, which cites nothing. A full stop does
// not match it.
func citationOf(areas []area) *regexp.Regexp {
	var list []string
	for _, a := range areas {
		list = append(list, regexp.QuoteMeta(a.Name))
	}
	return regexp.MustCompile(`(?:^|[^\w-])(` + strings.Join(list, "|") + `)-(\d+)\b(\.\.+\d)?`)
}

// scan lists the citations in the file called name.
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
				item := strings.HasPrefix(line[min(2, len(line)):], m[1]+"-"+m[2]+":")
				cites = append(cites, citation{name, n, m[1], m[2], item})
			}
		}
	}
	return cites, nil
}

// add puts each citation into the list that in returns for it, if any. A citation of an
// unknown number goes to Unknown.
func (r *report) add(cites []citation, in func(*area, citation) *[]int) {
	for _, c := range cites {
		i := slices.IndexFunc(r.Areas, func(a area) bool { return a.Name == c.Area })
		a := &r.Areas[i]
		number, err := strconv.Atoi(c.Number)
		if err != nil || number > a.Total || c.Number[0] == '0' {
			r.Unknown = append(r.Unknown, c)
			continue
		}
		if list := in(a, c); list != nil {
			*list = append(*list, number)
		}
	}
}

// finish sorts the numbers and finds the missing ones.
func (a *area) finish() {
	a.Cited, a.Differ, a.Missing = unique(a.Cited), unique(a.Differ), []int{}
	for n := 1; n <= a.Total; n++ {
		if !slices.Contains(a.Cited, n) && !slices.Contains(a.Differ, n) {
			a.Missing = append(a.Missing, n)
		}
	}
}

// unique returns list in rising order without repetitions. The result is not nil.
func unique(list []int) []int {
	list = append([]int{}, list...)
	slices.Sort(list)
	return slices.Compact(list)
}

// ranges formats list, which must be in rising order, as "1, 3-5, 9".
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
