//go:build !race

package arch

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/token"
	"path"
	"slices"
)

// checkSizes finds files and functions that are too long.
func checkSizes(m *module) (found []finding) {
	for _, p := range m.pkgs {
		for _, f := range p.files {
			if n := bytes.Count(f.src, []byte("\n")); n > fileLines {
				found = append(found, m.find(f.ast.Package, "file of %d lines; %d is the limit", n, fileLines))
			}
			limit := funcLines
			if f.test() {
				limit = testFuncLines
			}
			ast.Inspect(f.ast, func(n ast.Node) bool {
				name := "function"
				switch fn := n.(type) {
				case *ast.FuncDecl:
					name = fn.Name.Name
				case *ast.FuncLit:
				default:
					return true
				}
				if lines := m.fset.Position(n.End()).Line - m.fset.Position(n.Pos()).Line + 1; lines > limit {
					found = append(found, m.find(n.Pos(), "%s of %d lines; %d is the limit", name, lines, limit))
				}
				return false // a function inside is shorter
			})
		}
	}
	return found
}

// checkFormat finds files that gofmt would change.
func checkFormat(m *module) (found []finding) {
	for _, p := range m.pkgs {
		for _, f := range p.files {
			if want, err := format.Source(f.src); err != nil || !bytes.Equal(want, f.src) {
				found = append(found, m.find(f.ast.Package, "gofmt would change this file"))
			}
		}
	}
	return found
}

// checkNames finds packages whose names do not say what they are for.
func checkNames(m *module) (found []finding) {
	for _, p := range m.pkgs {
		name := p.files[0].ast.Name
		if slices.Contains(emptyNames, name.Name) || slices.Contains(emptyNames, path.Base(p.dir)) {
			found = append(found, m.find(name.Pos(), "%s says nothing: name the package after what it holds", name.Name))
		}
	}
	return found
}

// checkComments finds exported names without a comment, except in tests.
func checkComments(m *module) (found []finding) {
	for _, p := range m.pkgs {
		for _, f := range p.files {
			if f.test() {
				continue
			}
			for _, name := range uncommented(f.ast) {
				found = append(found, m.find(name.Pos(), "exported %s has no comment", name.Name))
			}
		}
	}
	return found
}

// uncommented returns the exported names of f that have no comment.
func uncommented(f *ast.File) (names []*ast.Ident) {
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && empty(d.Doc) && exportedReceiver(d.Recv) {
				names = append(names, d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				names = append(names, uncommentedSpec(d, spec)...)
			}
		}
	}
	return names
}

func uncommentedSpec(d *ast.GenDecl, spec ast.Spec) (names []*ast.Ident) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		alone := d.Lparen == token.NoPos
		if s.Name.IsExported() && empty(s.Doc) && empty(s.Comment) && !(alone && !empty(d.Doc)) {
			names = append(names, s.Name)
		}
	case *ast.ValueSpec:
		if empty(s.Doc) && empty(s.Comment) && empty(d.Doc) {
			for _, name := range s.Names {
				if name.IsExported() {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// empty tells whether doc has no text. Directives do not count.
func empty(doc *ast.CommentGroup) bool { return doc == nil || doc.Text() == "" }

// exportedReceiver tells whether recv is absent or has an exported type.
func exportedReceiver(recv *ast.FieldList) bool {
	if recv == nil || len(recv.List) == 0 {
		return true
	}
	e := recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}
