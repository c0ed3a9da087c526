package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// listing is the directory whose documents list all promises. Each area has a heading,
// and each promise a line.
const listing = "docs/promises"

// index is the document that names the others in order, with the areas in them.
const index = listing + "/README.md"

// headingForm matches the heading of an area: "## ERR: errors".
var headingForm = regexp.MustCompile(`^## ([A-Z]+): (\S.*)$`)

// entryForm matches one promise: `* <a id="err-1"></a>ERR-1: text`.
var entryForm = regexp.MustCompile(`^\* <a id="([a-z]+-[1-9]\d*)"></a>([A-Z]+)-([1-9]\d*): (\S.*)$`)

// states are the words, in bold, with which an area begins if it is not completely built.
var states = []string{"Not built yet", "Partly built"}

// mark ends each entry whose number is in docs/differences.md.
const mark = "See [differences](../differences.md)."

// entry is one promise of the listing.
type entry struct {
	citation
	differs bool // it is marked as a difference
}

// reader reads the documents of the listing, one after the other.
type reader struct {
	areas   []area
	entries []entry
	errs    []error
}

// readListing returns the areas that fsys lists, with their totals, and all entries. The
// numbers of an area must be 1, 2, 3 and so on. It is an error if an area or a number is
// listed twice, or if the index lacks an area. The error names everything that is wrong.
func readListing(fsys fs.FS) ([]area, []entry, error) {
	contents, err := fs.ReadFile(fsys, index)
	if err != nil {
		return nil, nil, err
	}
	names, err := documents(fsys, string(contents))
	if err != nil {
		return nil, nil, err
	}
	var r reader
	for _, name := range names {
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, nil, err
		}
		from := len(r.areas)
		r.read(name, string(text))
		for _, a := range r.areas[from:] {
			if link := fmt.Sprintf("[%s](%s#", a.Name, path.Base(name)); !strings.Contains(string(contents), link) {
				r.errs = append(r.errs, fmt.Errorf("%s has no link that begins with %q", index, link))
			}
		}
	}
	if len(r.areas) == 0 {
		r.errs = append(r.errs, fmt.Errorf("%s has no areas", listing))
	}
	return r.areas, r.entries, errors.Join(r.errs...)
}

// documents returns the documents of the listing, in the order in which the index first
// links to them. Documents without a link come last.
func documents(fsys fs.FS, contents string) ([]string, error) {
	names, err := fs.Glob(fsys, listing+"/*.md")
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == index })
	place := func(name string) int {
		if i := strings.Index(contents, "]("+path.Base(name)); i >= 0 {
			return i
		}
		return len(contents)
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(place(a), place(b)) })
	return names, nil
}

// read reads one document.
func (r *reader) read(name, text string) {
	current := -1 // the area that the lines belong to
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		wrong := func(format string, args ...any) {
			r.errs = append(r.errs, fmt.Errorf("%s:%d: %s", name, n, fmt.Sprintf(format, args...)))
		}
		switch m := headingForm.FindStringSubmatch(line); {
		case m != nil:
			if slices.ContainsFunc(r.areas, func(a area) bool { return a.Name == m[1] }) {
				wrong("area %s stands twice", m[1])
			}
			r.areas = append(r.areas, area{Name: m[1], Title: m[2]})
			current = len(r.areas) - 1
		case strings.HasPrefix(line, "## "):
			wrong("%q is not of the form %q", line, "## AREA: title")
			current = -1
		case strings.HasPrefix(line, "* "):
			if err := r.promise(current, citation{File: name, Line: n}, line); err != nil {
				wrong("%v", err)
			}
		case current >= 0:
			for _, state := range states {
				if strings.HasPrefix(line, "**"+state) {
					r.areas[current].State = strings.ToLower(state)
				}
			}
		}
	}
}

// promise reads the line at c. current is the index of the area it is in, or negative.
func (r *reader) promise(current int, c citation, line string) error {
	m := entryForm.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("not of the form %q", `* <a id="area-1"></a>AREA-1: text`)
	}
	c.Area, c.Number = m[2], m[3]
	name := c.Area + "-" + c.Number
	if strings.ToLower(name) != m[1] {
		return fmt.Errorf("%s has the anchor %q", name, m[1])
	}
	if current < 0 || r.areas[current].Name != c.Area {
		return fmt.Errorf("%s does not stand under the heading of %s", name, c.Area)
	}
	number, err := strconv.Atoi(c.Number)
	if err != nil {
		return err
	}
	a := &r.areas[current]
	switch {
	case number <= a.Total:
		return fmt.Errorf("%s stands twice, or after a greater number", name)
	case number > a.Total+1:
		err = fmt.Errorf("%s stands where %s-%d should", name, a.Name, a.Total+1)
	}
	a.Total = number
	c.item = true
	r.entries = append(r.entries, entry{c, strings.HasSuffix(line, mark)})
	return err
}
