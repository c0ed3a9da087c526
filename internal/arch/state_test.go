//go:build !race

package arch

import (
	"go/ast"
	"go/token"
	"go/types"
	"path"
	"slices"
	"strings"
)

// checkState finds package-level variables that are neither errors, nor tables, nor
// assertions that a type implements an interface. It also finds tables that change.
func checkState(v *view) (found []finding) {
	for _, p := range v.pkgs {
		c := v.checked[p.dir]
		for _, f := range c.files {
			for _, decl := range f.ast.Decls {
				if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.VAR {
					found = append(found, v.badVars(c, g)...)
				}
			}
			found = append(found, v.changes(c, f)...)
		}
	}
	return found
}

func (v *view) badVars(c *checked, g *ast.GenDecl) (found []finding) {
	for _, s := range g.Specs {
		spec := s.(*ast.ValueSpec)
		for i, name := range spec.Names {
			var value ast.Expr
			if len(spec.Values) == len(spec.Names) {
				value = spec.Values[i]
			}
			switch {
			case name.Name == "_" && spec.Type != nil:
			case embeds(g.Doc) || embeds(spec.Doc):
			case value != nil && constant(c, spec.Type, value):
			case value == nil && spec.Type != nil && isArray(spec.Type):
			default:
				found = append(found, v.find(name.Pos(),
					"package-level variable %s is neither an error nor a table: state belongs to an object", name.Name))
			}
		}
	}
	return found
}

// constant tells whether value is an error or a table.
func constant(c *checked, typ, value ast.Expr) bool {
	if id, ok := typ.(*ast.Ident); ok && id.Name == "error" {
		return true
	}
	switch e := ast.Unparen(value).(type) {
	case *ast.CallExpr:
		name := foreign(c, e.Fun)
		if id, ok := e.Fun.(*ast.Ident); ok {
			name = id.Name
		}
		return slices.Contains(makers, path.Base(name))
	case *ast.SelectorExpr: // another package's error
		return strings.HasPrefix(e.Sel.Name, "Err")
	case *ast.Ident:
		return strings.HasPrefix(e.Name, "Err")
	case *ast.CompositeLit:
		switch t := e.Type.(type) {
		case *ast.ArrayType, *ast.MapType:
			return true
		default:
			// A struct of another module may change by itself, as sync.Pool does.
			named, ok := types.Unalias(typeOf(c, t)).(*types.Named)
			return ok && named.Obj().Pkg() != nil && own(named.Obj().Pkg().Path()) != ""
		}
	}
	return false
}

func typeOf(c *checked, e ast.Expr) types.Type {
	switch t := e.(type) {
	case *ast.IndexExpr:
		return typeOf(c, t.X)
	case *ast.IndexListExpr:
		return typeOf(c, t.X)
	}
	return c.info.TypeOf(e)
}

func isArray(e ast.Expr) bool {
	a, ok := e.(*ast.ArrayType)
	return ok && a.Len != nil
}

func embeds(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// changes finds the places in f that change a package-level variable of this module.
func (v *view) changes(c *checked, f *file) (found []finding) {
	changed := func(e ast.Expr) {
		if x := global(c, e); x != nil {
			found = append(found, v.find(e.Pos(), "package-level variable %s changes here", x.Name()))
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, e := range n.Lhs {
				changed(e)
			}
		case *ast.IncDecStmt:
			changed(n.X)
		case *ast.RangeStmt:
			changed(n.Key)
			changed(n.Value)
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				changed(n.X)
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"delete", "clear", "copy"}, id.Name) {
				changed(n.Args[0])
			}
		case *ast.SelectorExpr:
			if s := c.info.Selections[n]; s != nil && takesAddress(s) {
				changed(n.X)
			}
		}
		return true
	})
	return found
}

// takesAddress tells whether s calls a pointer's method on a value.
func takesAddress(s *types.Selection) bool {
	fn, ok := s.Obj().(*types.Func)
	if !ok || s.Kind() != types.MethodVal {
		return false
	}
	_, wants := types.Unalias(fn.Signature().Recv().Type()).(*types.Pointer)
	_, has := types.Unalias(s.Recv()).(*types.Pointer)
	return wants && !has
}

// global returns the package-level variable of this module that e is, or is a part of.
func global(c *checked, e ast.Expr) *types.Var {
	for {
		switch x := e.(type) {
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.SelectorExpr:
			if obj := packageVar(c.info.Uses[x.Sel]); obj != nil {
				return obj
			}
			e = x.X
		case *ast.Ident:
			return packageVar(c.info.Uses[x])
		default:
			return nil
		}
	}
}

func packageVar(obj types.Object) *types.Var {
	x, ok := obj.(*types.Var)
	if !ok || x.Pkg() == nil || x.Parent() != x.Pkg().Scope() {
		return nil
	}
	return x
}
