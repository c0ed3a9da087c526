package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// suites are the directories whose ordinary files are tests as well, if a test file
// elsewhere calls the package's Run.
var suites = []string{"kernel/kerneltest", "testworld/transporttest"}

// fails are the methods of a test that fail it, with the fewest arguments of a call. So
// err.Error() is none.
func fails(method string) (arguments int, ok bool) {
	switch method {
	case "Error", "Errorf", "Fatal", "Fatalf":
		return 1, true
	case "Fail", "FailNow":
		return 0, true
	}
	return 0, false
}

// file is a parsed test file.
type file struct {
	name string
	ast  *ast.File
	set  *token.FileSet
	text []string // its lines
}

// folder is the test code of one directory.
type folder struct {
	files []*file
	// asserting are the names of functions and methods that can fail a test, by
	// themselves or through another function of the directory.
	asserting map[string]bool
	// tables are the names of package-level variables that asserting functions use.
	tables map[string]bool
}

// parse parses the test file called name.
func parse(fsys fs.FS, name string) (*file, error) {
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &file{name, f, set, strings.Split(string(text), "\n")}, nil
}

// folderOf finds what asserts in files, which stand in one directory.
func folderOf(files []*file) *folder {
	d := &folder{files: files, asserting: map[string]bool{}, tables: map[string]bool{}}
	for again := true; again; {
		again = false
		for _, fn := range d.functions() {
			if name := fn.Name.Name; !d.asserting[name] && d.asserts(fn.Body) {
				d.asserting[name] = true
				again = true
			}
		}
	}
	for _, fn := range d.functions() {
		if d.owns(fn) {
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					d.tables[id.Name] = true
				}
				return true
			})
		}
	}
	return d
}

// closures lists the names of the local functions in node that assert.
func (d *folder) closures(node ast.Node) (names []string) {
	ast.Inspect(node, func(n ast.Node) bool {
		if as, ok := n.(*ast.AssignStmt); ok && len(as.Lhs) == 1 && len(as.Rhs) == 1 {
			if lit, ok := as.Rhs[0].(*ast.FuncLit); ok && d.asserts(lit.Body) {
				names = append(names, lastName(as.Lhs[0]))
			}
		}
		return true
	})
	return names
}

// functions lists the functions and methods that have a body.
func (d *folder) functions() (list []*ast.FuncDecl) {
	for _, f := range d.files {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
				list = append(list, fn)
			}
		}
	}
	return list
}

// owns reports whether fn can hold citations: it asserts, or is an Example, whose output
// go test compares.
func (d *folder) owns(fn *ast.FuncDecl) bool {
	return d.asserts(fn.Body) || fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Example")
}

// asserts reports whether a call in n can fail the test.
func (d *folder) asserts(n ast.Node) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && d.assertion(call) {
			found = true
		}
		return !found
	})
	return found
}

// assertion reports whether call can fail the test: it is one of the failing methods, a
// function of this directory that asserts, or a function that is given the test.
func (d *folder) assertion(call *ast.CallExpr) bool {
	name := ""
	switch fn := call.Fun.(type) {
	case *ast.Ident:
		name = fn.Name
	case *ast.SelectorExpr:
		name = fn.Sel.Name
		receiver := lastName(fn.X)
		if least, ok := fails(name); ok {
			return len(call.Args) >= least && receiver != "fmt" && !strings.Contains(strings.ToLower(receiver), "log")
		}
	}
	return d.asserting[name] || slices.ContainsFunc(call.Args, isTestValue)
}

// isTestValue reports whether e is, by its name, a *testing.T, a testing.TB or the like.
func isTestValue(e ast.Expr) bool {
	return slices.Contains([]string{"t", "tb", "T", "TB"}, lastName(e))
}

// lastName returns the name at the end of e, such as t of u.t, or "".
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// counted returns the lines of f whose comments cite, and those whose texts do.
//
// The comment of a function that asserts cites. So does a comment in it that stands beside
// an assertion: one begins between the comment and the next empty line. So does a row of a
// table that such a function uses, with its comment. Texts cite in the calls that assert
// and in the names of subtests.
func (d *folder) counted(f *file) map[int]bool {
	lines := map[int]bool{}
	for _, decl := range f.ast.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Body != nil && d.owns(decl) {
				if decl.Doc != nil {
					f.mark(lines, decl.Doc)
				}
				d.body(f, decl.Body, lines)
			}
		case *ast.GenDecl:
			d.table(f, decl, lines)
		}
	}
	return lines
}

// line returns the number of the line of p.
func (f *file) line(p token.Pos) int { return f.set.Position(p).Line }

// mark adds the lines of n to lines.
func (f *file) mark(lines map[int]bool, n ast.Node) {
	for at := f.line(n.Pos()); at <= f.line(n.End()); at++ {
		lines[at] = true
	}
}

// table marks the tables in decl that asserting functions use.
func (d *folder) table(f *file, decl *ast.GenDecl, lines map[int]bool) {
	for _, spec := range decl.Specs {
		values, ok := spec.(*ast.ValueSpec)
		if ok && slices.ContainsFunc(values.Names, func(id *ast.Ident) bool { return d.tables[id.Name] }) {
			f.mark(lines, decl)
			d.body(f, decl, lines)
		}
	}
}

// body marks what cites in node, which is or contains code that asserts.
func (d *folder) body(f *file, node ast.Node, lines map[int]bool) {
	rows(f, node, lines)
	first := map[int]bool{} // the lines on which assertions begin
	local := d.closures(node)
	ast.Inspect(node, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			name := lastName(call.Fun)
			asserts := d.assertion(call) || slices.Contains(local, name)
			if asserts {
				first[f.line(call.Pos())] = true
			}
			if asserts || name == "Run" {
				texts(f, call, lines)
			}
		}
		return true
	})
	for _, c := range f.ast.Comments {
		if c.Pos() < node.Pos() || c.End() > node.End() {
			continue
		}
		for n := f.line(c.Pos()); n <= f.line(node.End()) && strings.TrimSpace(f.text[n-1]) != ""; n++ {
			if first[n] {
				f.mark(lines, c)
				break
			}
		}
	}
}

// rows marks the rows of the tables in node, except the bodies of functions in them.
func rows(f *file, node ast.Node, lines map[int]bool) {
	ast.Inspect(node, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			switch n.Type.(type) {
			case *ast.ArrayType, *ast.MapType:
				f.mark(lines, n)
			}
		case *ast.FuncLit:
			for at := f.line(n.Body.Pos()) + 1; at < f.line(n.Body.End()); at++ {
				delete(lines, at)
			}
		}
		return true
	})
}

// texts marks the texts among the arguments of call.
func texts(f *file, call *ast.CallExpr, lines map[int]bool) {
	for _, arg := range call.Args {
		ast.Inspect(arg, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				f.mark(lines, lit)
			}
			_, inner := n.(*ast.FuncLit)
			return !inner
		})
	}
}

// runs reports whether f calls Run of the suite in dir.
func (f *file) runs(dir string) bool {
	found := false
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if ok && sel.Sel.Name == "Run" && lastName(sel.X) == path.Base(dir) {
				found = true
			}
		}
		return !found
	})
	return found
}
