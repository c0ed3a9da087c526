//go:build !race

package arch

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// modulePath is the first part of every import path of this module.
const modulePath = "github.com/whorl-go/whorl"

// module is the parsed source of all packages.
type module struct {
	fsys fs.FS
	fset *token.FileSet
	pkgs []*pkg                // by directory
	seen []*view               // the result of views
	done map[string][]*checked // by directory: packages of any view
}

// pkg is one directory with Go files, its tests included.
type pkg struct {
	dir   string // slash-separated, from the root of the module
	files []*file
}

// file is one parsed file.
type file struct {
	path string
	src  []byte
	ast  *ast.File
}

func (f *file) test() bool { return strings.HasSuffix(f.path, "_test.go") }

// external tells whether f belongs to the external test package.
func (f *file) external() bool { return strings.HasSuffix(f.ast.Name.Name, "_test") }

// finding is one breach of a rule.
type finding struct {
	pos  token.Position
	text string
}

func (f finding) String() string { return fmt.Sprintf("%v: %s", f.pos, f.text) }

func (m *module) find(pos token.Pos, format string, args ...any) finding {
	return finding{m.fset.Position(pos), fmt.Sprintf(format, args...)}
}

// load parses the module in fsys. It leaves out directories that the go command ignores,
// and other modules.
func load(fsys fs.FS) (*module, error) {
	m := &module{fsys: fsys, fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return m.enter(name)
		case !strings.HasSuffix(name, ".go") || strings.HasPrefix(d.Name(), "_") || strings.HasPrefix(d.Name(), "."):
			return nil
		}
		return m.add(name)
	})
	// Files of a directory come between those of its subdirectories.
	slices.SortFunc(m.pkgs, func(a, b *pkg) int { return cmp.Compare(a.dir, b.dir) })
	return m, err
}

func (m *module) enter(dir string) error {
	base := path.Base(dir)
	if dir == "." {
		return nil
	}
	if base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_' {
		return fs.SkipDir
	}
	if _, err := fs.Stat(m.fsys, path.Join(dir, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

func (m *module) add(name string) error {
	src, err := fs.ReadFile(m.fsys, name)
	if err != nil {
		return err
	}
	tree, err := parser.ParseFile(m.fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p := m.pkg(path.Dir(name))
	if p == nil {
		p = &pkg{dir: path.Dir(name)}
		m.pkgs = append(m.pkgs, p)
	}
	p.files = append(p.files, &file{name, src, tree})
	return nil
}

// pkg is the package in dir, or nil.
func (m *module) pkg(dir string) *pkg {
	for _, p := range m.pkgs {
		if p.dir == dir {
			return p
		}
	}
	return nil
}

// view is the module as one system compiles it, without tests.
type view struct {
	*module
	sys     system
	checked map[string]*checked // by directory; nil while it is being checked
}

// checked is one package of a view with its types.
//
// Only packages of the module are type-checked. All others count as empty, which is fast
// and does not depend on what is installed. Names from them have no known type, and
// errors about them are ignored.
type checked struct {
	dir   string
	files []*file
	needs []*checked // those that it imports, in the order of the files
	types *types.Package
	info  *types.Info
}

// views returns the module as each system compiles it.
func (m *module) views() []*view {
	if m.seen == nil {
		m.done = map[string][]*checked{}
		for _, sys := range systems {
			v := &view{module: m, sys: sys, checked: map[string]*checked{}}
			for _, p := range m.pkgs {
				v.check(p)
			}
			m.seen = append(m.seen, v)
		}
	}
	return m.seen
}

// check type-checks p, unless that was done or is being done. Most packages are the same for most systems: what
// has the same files and imports the same is checked once for all views.
func (v *view) check(p *pkg) *checked {
	if c, ok := v.checked[p.dir]; ok {
		return c
	}
	v.checked[p.dir] = nil // a cycle ends here; the rule on floors finds it
	c := &checked{dir: p.dir}
	var trees []*ast.File
	for _, f := range p.files {
		if !f.test() && v.builds(f) {
			c.files = append(c.files, f)
			trees = append(trees, f.ast)
		}
	}
	c.needs = v.needs(trees)
	for _, d := range v.done[p.dir] {
		if slices.Equal(d.files, c.files) && slices.Equal(d.needs, c.needs) {
			v.checked[p.dir] = d
			return d
		}
	}
	c.info = &types.Info{
		Types:      map[ast.Expr]types.TypeAndValue{},
		Defs:       map[*ast.Ident]types.Object{},
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	conf := types.Config{Importer: v, FakeImportC: true, Error: func(error) {}}
	c.types, _ = conf.Check(path.Join(modulePath, p.dir), v.fset, trees, c.info)
	v.checked[p.dir] = c
	v.done[p.dir] = append(v.done[p.dir], c)
	return c
}

// needs are the packages of the module that the files import. One that is being checked, in a cycle, is nil.
func (v *view) needs(trees []*ast.File) (all []*checked) {
	for _, tree := range trees {
		for _, spec := range tree.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if p := v.pkg(own(name)); p != nil {
				all = append(all, v.check(p))
			}
		}
	}
	return all
}

// builds tells whether f's name and build constraints allow v's system.
func (v *view) builds(f *file) bool {
	ctx := build.Default
	ctx.GOOS, ctx.GOARCH, ctx.CgoEnabled = v.sys.goos, v.sys.goarch, false
	ctx.BuildTags = strings.Fields(v.sys.tag)
	ctx.JoinPath = path.Join
	ctx.OpenFile = func(name string) (io.ReadCloser, error) { return v.fsys.Open(name) }
	ok, err := ctx.MatchFile(path.Dir(f.path), path.Base(f.path))
	return ok && err == nil
}

// Import implements types.Importer for a view.
func (v *view) Import(name string) (*types.Package, error) {
	if p := v.pkg(own(name)); p != nil {
		if c := v.check(p); c != nil {
			return c.types, nil
		}
	}
	base := path.Base(name)
	if base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(name))
	}
	empty := types.NewPackage(name, base)
	empty.MarkComplete()
	return empty, nil
}

// own returns the directory of an import path of this module, otherwise "".
func own(name string) string {
	if name == modulePath {
		return "."
	}
	dir, ok := strings.CutPrefix(name, modulePath+"/")
	if !ok {
		return ""
	}
	return dir
}

// floorOf returns the floor of dir: len(floors) if it is beside the floors, -1 if it has
// none.
func floorOf(dir string) int {
	if matches(beside, dir) {
		return len(floors)
	}
	return slices.IndexFunc(floors, func(list string) bool { return matches(list, dir) })
}

// matches tells whether name is in the list, or below an entry that ends in "/...".
func matches(list, name string) bool {
	return slices.ContainsFunc(strings.Fields(list), func(entry string) bool {
		tree, ok := strings.CutSuffix(entry, "/...")
		return entry == name || ok && strings.HasPrefix(name, tree+"/")
	})
}

func fields(list string) []string { return strings.Fields(list) }

func parent(name string) string { return path.Dir(name) }
