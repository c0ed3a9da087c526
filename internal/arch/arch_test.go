//go:build !race

// The tests of this package read source and start no goroutine. The race detector could
// find nothing, and makes them take five times as long.

package arch

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// rules are all rules. plants_test.go has planted source for each.
var rules = map[string]func(*module) []finding{
	"floors":   checkFloors,
	"built":    checkBuilt,
	"asserts":  everywhere(checkAssertions),
	"bans":     everywhere(checkBans),
	"state":    everywhere(checkState),
	"wrappers": everywhere(checkWrappers),
	"sizes":    checkSizes,
	"format":   checkFormat,
	"names":    checkNames,
	"comments": checkComments,
}

// everywhere applies a rule that needs types to the view of every system. It reports each
// finding once.
func everywhere(check func(*view) []finding) func(*module) []finding {
	return func(m *module) (found []finding) {
		seen := map[finding]bool{}
		for _, v := range m.views() {
			for _, f := range check(v) {
				if !seen[f] {
					seen[f] = true
					found = append(found, f)
				}
			}
		}
		return found
	}
}

// TestHouse applies the rules to the whole module.
func TestHouse(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // all that is loaded stays, so there is little to collect
	m, err := load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	// In the wrong directory every rule would hold.
	if m.pkg("kernel") == nil || m.pkg("internal/arch") == nil {
		t.Fatal("this is not the root of the module")
	}
	for name, check := range rules {
		t.Run(name, func(t *testing.T) {
			for _, f := range check(m) {
				t.Error(f)
			}
		})
	}
}

// TestModulePath checks modulePath against go.mod. If they differed, imports of our own
// would count as imports of others.
func TestModulePath(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "module " + modulePath + "\n"; len(text) < len(want) || string(text[:len(want)]) != want {
		t.Errorf("go.mod does not begin with %q", want)
	}
}

// TestFloorsAgree checks the policy's tables: no package is on two floors, and every
// package they name is on one. A misspelled name would switch an exception or a ban off.
func TestFloorsAgree(t *testing.T) {
	var all []string
	for _, list := range floors {
		all = append(all, fields(list)...)
	}
	slices.Sort(all)
	if one := slices.Compact(slices.Clone(all)); len(one) != len(all) {
		t.Errorf("a package stands on two floors: %v", all)
	}
	known := func(where, dir string) {
		if floorOf(dir) < 0 && floorOf(parent(dir)) < 0 {
			t.Errorf("%s names %s, which has no floor", where, dir)
		}
	}
	for _, b := range bans {
		for _, dir := range fields(b.in) {
			known("the ban of "+b.what, dir)
		}
		for dir, why := range b.except {
			known("the ban of "+b.what, dir)
			if why == "" {
				t.Errorf("the ban of %s excepts %s without a reason", b.what, dir)
			}
		}
		if b.because == "" {
			t.Errorf("the ban of %s has no reason", b.what)
		}
	}
	for _, d := range allowed {
		for _, dir := range fields(d.packages) {
			known(d.path, dir)
		}
	}
	for dir, siblings := range testSiblings {
		known("testSiblings", dir)
		for sibling := range siblings {
			known("testSiblings", sibling)
		}
	}
}

// TestBansExist looks up every banned name in the standard library. A misspelled name
// would ban nothing.
func TestBansExist(t *testing.T) {
	for _, b := range bans {
		for _, what := range fields(b.what) {
			name, fn, ok := strings.Cut(strings.TrimPrefix(what, "import:"), ".")
			if strings.HasPrefix(what, "import:") == ok || strings.Contains(name, ":") || name == "go" {
				continue // import:. and parts of the language
			}
			if !declares(t, name, fn) {
				t.Errorf("there is no %s", what)
			}
		}
	}
}

// declares tells whether a package of the standard library declares the function fn, or
// any function if fn is empty.
func declares(t *testing.T, name, fn string) bool {
	t.Helper()
	p, err := build.Import(name, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range p.GoFiles {
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range tree.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Recv == nil && (fn == "" || d.Name.Name == fn) {
				return true
			}
		}
	}
	return false
}

// plant is a tree of source and what a rule must find in it.
type plant struct {
	rule  string
	files map[string]string
	want  string // part of the only finding, or "" if there must be none
}

func (p *plant) fs() fs.FS {
	tree := fstest.MapFS{}
	for name, src := range p.files {
		tree[name] = &fstest.MapFile{Data: []byte(src)}
	}
	return tree
}
