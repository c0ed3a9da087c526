//go:build !race

package arch

import (
	"go/ast"
	"go/types"
	"slices"
)

// checkAssertions finds plain type assertions to a capability. They do not look through
// wrappers.
func checkAssertions(v *view) (found []finding) {
	for _, p := range v.pkgs {
		c := v.checked[p.dir]
		for _, f := range c.files {
			if assertingFiles[f.path] != "" {
				continue
			}
			ast.Inspect(f.ast, func(n ast.Node) bool {
				for _, e := range asserted(n) {
					if name := qualified(c, e); slices.Contains(capabilities, name) {
						found = append(found, v.find(e.Pos(),
							"%s is asserted: use the As function of its package, which looks through wrappers", name))
					}
				}
				return true
			})
		}
	}
	return found
}

// asserted returns the types that n asserts.
func asserted(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.TypeAssertExpr:
		if n.Type != nil {
			return []ast.Expr{n.Type}
		}
	case *ast.TypeSwitchStmt:
		var all []ast.Expr
		for _, s := range n.Body.List {
			all = append(all, s.(*ast.CaseClause).List...)
		}
		return all
	}
	return nil
}

// qualified returns the name of a type of this module as the policy writes it, or "".
func qualified(c *checked, e ast.Expr) string {
	named, ok := types.Unalias(typeOf(c, e)).(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return ""
	}
	return own(named.Obj().Pkg().Path()) + "." + named.Obj().Name()
}
