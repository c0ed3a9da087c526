//go:build !race

package arch

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// checkBans finds what the policy forbids.
func checkBans(v *view) (found []finding) {
	for _, p := range v.pkgs {
		c := v.checked[p.dir]
		for _, f := range c.files {
			eachName(c, f, func(pos token.Pos, what string) {
				for _, b := range bans {
					if matches(b.what, what) && b.holds(c.dir, f.path) {
						found = append(found, v.find(pos, "%s: %s", what, b.because))
					}
				}
			})
		}
	}
	return found
}

// holds tells whether b applies to a file of the package in dir.
func (b *ban) holds(dir, file string) bool {
	floor := floorOf(dir)
	switch {
	case b.in != "" && !matches(b.in, dir):
		return false
	case b.below > 0 && floor >= b.below:
		return false
	}
	return b.except[dir] == "" && b.except[file] == ""
}

// eachName calls say with everything in f that a ban could name.
func eachName(c *checked, f *file, say func(token.Pos, string)) {
	for _, spec := range f.ast.Imports {
		say(spec.Pos(), "import:"+importPath(spec))
		if spec.Name != nil && spec.Name.Name == "." {
			say(spec.Pos(), "import:.")
		}
	}
	sorted := map[ast.Node]bool{}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say(n.Pos(), "go")
		case *ast.FuncDecl:
			if n.Recv == nil && n.Name.Name == "init" {
				say(n.Pos(), "func:init")
			}
		case *ast.RangeStmt:
			if isMap(c.info.TypeOf(n.X)) {
				say(n.Pos(), "range:map")
			}
		case *ast.CallExpr:
			if strings.HasPrefix(foreign(c, n.Fun), "slices.Sorted") {
				for _, arg := range n.Args {
					sorted[ast.Unparen(arg)] = true
				}
			}
			if sorted[n] {
				sorted[n.Fun] = true
			}
		case *ast.SelectorExpr:
			if name := foreign(c, n); name != "" && !sorted[n] {
				say(n.Pos(), name)
			}
		case *ast.Ident:
			if _, ok := c.info.Uses[n].(*types.Builtin); ok {
				say(n.Pos(), "builtin:"+n.Name)
			}
		}
		return true
	})
}

// foreign returns "path.Name" if e names something that another package exports,
// otherwise "".
func foreign(c *checked, e ast.Expr) string {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	id, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	name, ok := c.info.Uses[id].(*types.PkgName)
	if !ok {
		return ""
	}
	return name.Imported().Path() + "." + sel.Sel.Name
}

// isMap tells whether a range over a t may follow the order of a map.
func isMap(t types.Type) bool {
	if t == nil {
		return false
	}
	if p, ok := t.(*types.TypeParam); ok {
		u, ok := p.Constraint().Underlying().(*types.Interface)
		if !ok {
			return false
		}
		for i := range u.NumEmbeddeds() {
			if union, ok := u.EmbeddedType(i).(*types.Union); ok && slices.ContainsFunc(unionTypes(union), isMap) {
				return true
			}
		}
		return false
	}
	_, ok := t.Underlying().(*types.Map)
	return ok
}

func unionTypes(u *types.Union) (list []types.Type) {
	for i := range u.Len() {
		list = append(list, u.Term(i).Type())
	}
	return list
}
