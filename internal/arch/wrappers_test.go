//go:build !race

package arch

import (
	"go/types"
	"path"
	"strings"
)

// checkWrappers finds types that implement one of the wrapped interfaces, hold one in a
// field, and have no Unwrap that returns it. They would hide the capabilities of the
// inner one.
func checkWrappers(v *view) (found []finding) {
	for _, p := range v.pkgs {
		c := v.checked[p.dir]
		for _, name := range c.types.Scope().Names() {
			obj, ok := c.types.Scope().Lookup(name).(*types.TypeName)
			if !ok || obj.IsAlias() || notWrappers[path.Base(c.dir)+"."+name] != "" {
				continue
			}
			if held := v.hidden(obj.Type()); held != "" {
				found = append(found, v.find(obj.Pos(), "%s is a %s that holds one, so it needs Unwrap() %s", name, held, held))
			}
		}
	}
	return found
}

// hidden returns the interface that t implements and hides, or "".
func (v *view) hidden(t types.Type) string {
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return ""
	}
	first := ""
	methods := types.NewMethodSet(types.NewPointer(t))
	for _, name := range wrapped {
		iface := v.lookup(name)
		if iface == nil || !holds(s, iface) || !hasAll(methods, iface) {
			continue
		}
		if leadsTo(methods, iface) {
			return ""
		}
		if first == "" {
			first = name
		}
	}
	return first
}

// lookup returns the interface called "package.Name", or nil.
func (v *view) lookup(name string) *types.Named {
	dir, name, _ := strings.Cut(name, ".")
	c := v.checked[dir]
	if c == nil {
		return nil
	}
	obj, ok := c.types.Scope().Lookup(name).(*types.TypeName)
	if !ok {
		return nil
	}
	named, _ := obj.Type().(*types.Named)
	return named
}

func holds(s *types.Struct, iface *types.Named) bool {
	for f := range s.Fields() {
		if types.Identical(f.Type(), iface) {
			return true
		}
	}
	return false
}

// hasAll tells whether methods has a method for each name in iface. It compares only
// names, because types of other modules are unknown here.
func hasAll(methods *types.MethodSet, iface *types.Named) bool {
	for m := range iface.Underlying().(*types.Interface).Methods() {
		if methods.Lookup(m.Pkg(), m.Name()) == nil {
			return false
		}
	}
	return true
}

// leadsTo tells whether methods has an Unwrap that returns iface.
func leadsTo(methods *types.MethodSet, iface *types.Named) bool {
	u := methods.Lookup(nil, "Unwrap")
	if u == nil {
		return false
	}
	results := u.Obj().(*types.Func).Signature().Results()
	return results.Len() == 1 && types.Identical(results.At(0).Type(), iface)
}
