package main

import (
	"fmt"
	"go/ast"
	"go/token"
)

// swapped says which operator takes the place of which.
func swapped(op token.Token) (token.Token, bool) {
	switch op {
	case token.LSS:
		return token.LEQ, true
	case token.LEQ:
		return token.LSS, true
	case token.GTR:
		return token.GEQ, true
	case token.GEQ:
		return token.GTR, true
	case token.EQL:
		return token.NEQ, true
	case token.NEQ:
		return token.EQL, true
	case token.ADD:
		return token.SUB, true
	case token.SUB:
		return token.ADD, true
	case token.LAND:
		return token.LOR, true
	case token.LOR:
		return token.LAND, true
	case token.ADD_ASSIGN:
		return token.SUB_ASSIGN, true
	case token.SUB_ASSIGN:
		return token.ADD_ASSIGN, true
	case token.INC:
		return token.DEC, true
	case token.DEC:
		return token.INC, true
	}
	return op, false
}

// file finds the mutants of f.
func (v *finder) file(f *ast.File) {
	for _, decl := range f.Decls {
		v.function = "package"
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Body != nil {
				v.function = nameOf(decl)
				v.node(decl.Body, decl.Type)
			}
		case *ast.GenDecl:
			if decl.Tok != token.IMPORT {
				v.node(decl, nil)
			}
		}
	}
}

// nameOf returns the name of fn, with its receiver's type.
func nameOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}

// node finds the mutants in n. in is the type of the function around it, or nil.
func (v *finder) node(n ast.Node, in *ast.FuncType) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			v.node(n.Body, n.Type)
			return false
		case *ast.IfStmt:
			v.negate(n.Cond)
		case *ast.ForStmt:
			if n.Cond != nil {
				v.negate(n.Cond)
			}
		case *ast.BinaryExpr:
			v.operator(n, n.OpPos, n.Op)
		case *ast.AssignStmt:
			v.operator(n, n.TokPos, n.Tok)
		case *ast.IncDecStmt:
			v.operator(n, n.TokPos, n.Tok)
		case *ast.BasicLit:
			if n.Kind == token.INT {
				v.replace(n.Pos(), n.End(), "("+n.Value+"+1)", fmt.Sprintf("%s -> %s+1 in %s", n.Value, n.Value, v.around(n)))
			}
		case *ast.Ident:
			v.boolean(n)
		case *ast.BlockStmt:
			v.drop(n.List)
		case *ast.CaseClause:
			v.drop(n.Body)
		case *ast.CommClause:
			v.drop(n.Body)
		case *ast.ReturnStmt:
			if in != nil {
				v.zero(n, in)
			}
		}
		return true
	})
}

// negate turns a condition around. A comparison has a mutant for that already.
func (v *finder) negate(cond ast.Expr) {
	if b, ok := cond.(*ast.BinaryExpr); ok && (b.Op == token.EQL || b.Op == token.NEQ) {
		return
	}
	v.replace(cond.Pos(), cond.End(), "!("+v.code(cond)+")", fmt.Sprintf("%s -> negated", v.short(cond)))
}

// operator swaps an operator of n.
func (v *finder) operator(n ast.Node, at token.Pos, op token.Token) {
	if with, ok := swapped(op); ok {
		v.replace(at, at+token.Pos(len(op.String())), with.String(), fmt.Sprintf("%s -> %s", v.short(n), with))
	}
}

// boolean swaps true and false.
func (v *finder) boolean(id *ast.Ident) {
	with := map[string]string{"true": "false", "false": "true"}[id.Name]
	if with != "" {
		v.replace(id.Pos(), id.End(), with, fmt.Sprintf("%s -> %s in %s", id.Name, with, v.around(id)))
	}
}

// drop drops each statement of stmts that is a call, an assignment, a count, a send, or
// a jump. It stays in the source, so that what it uses is still used.
func (v *finder) drop(stmts []ast.Stmt) {
	for _, s := range stmts {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.BranchStmt:
			if s.Tok != token.BREAK && s.Tok != token.CONTINUE {
				continue
			}
		case *ast.ExprStmt, *ast.IncDecStmt, *ast.SendStmt, *ast.DeferStmt, *ast.GoStmt:
		default:
			continue
		}
		v.replace(s.Pos(), s.End(), "if false { "+v.code(s)+" }", fmt.Sprintf("drop %s", v.short(s)))
	}
}

// zero lets ret return a zero value in place of one result. in is the function's type.
func (v *finder) zero(ret *ast.ReturnStmt, in *ast.FuncType) {
	var types []ast.Expr
	if in.Results != nil {
		for _, field := range in.Results.List {
			for range max(len(field.Names), 1) {
				types = append(types, field.Type)
			}
		}
	}
	if len(ret.Results) != len(types) {
		return // a call whose results are returned
	}
	for i, e := range ret.Results {
		switch v.code(e) {
		case "nil", "0", `""`, "true", "false":
			continue // zero already, or swapped
		}
		v.replace(e.Pos(), e.End(), "*new("+v.code(types[i])+")", fmt.Sprintf("return %s -> its zero value", v.short(e)))
	}
}
