//go:build !race

package arch

import (
	"go/ast"
	"strconv"
	"strings"
)

// checkFloors finds packages without a floor, and imports of packages that are not on a
// lower floor.
func checkFloors(m *module) (found []finding) {
	for _, p := range m.pkgs {
		if floorOf(p.dir) < 0 {
			found = append(found, m.find(p.files[0].ast.Package,
				"package %s has no floor: decide which, and write it into floors", p.dir))
			continue
		}
		for _, f := range p.files {
			for _, spec := range f.ast.Imports {
				if why := wrongImport(p, f, importPath(spec)); why != "" {
					found = append(found, m.find(spec.Pos(), "%s imports %s: %s", p.dir, importPath(spec), why))
				}
			}
		}
	}
	return found
}

// wrongImport returns why f of p may not import name, or "".
func wrongImport(p *pkg, f *file, name string) string {
	dir := own(name)
	if dir == "" {
		return wrongDependency(p, f, name)
	}
	from, to := floorOf(p.dir), floorOf(dir)
	switch {
	case matches(beside, dir):
		return "it stands beside, for nobody to import"
	case to < 0:
		return "it has no floor"
	case f.test() && f.external():
		return ""
	case f.test() && testSiblings[p.dir][dir] != "":
		return ""
	case to == from:
		return "siblings do not know each other; the shared part sinks, or the consumer declares what it needs"
	case to > from:
		return "it is on floor " + strconv.Itoa(to) + ", above floor " + strconv.Itoa(from)
	}
	return ""
}

// wrongDependency is wrongImport for a package of another module.
func wrongDependency(p *pkg, f *file, name string) string {
	if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for _, d := range allowed {
		if within(name, d.path) && matches(d.packages, p.dir) {
			return ""
		}
	}
	if f.test() {
		for _, d := range allowedInTests {
			if within(name, d.path) {
				return ""
			}
		}
	}
	return "that dependency is not allowed here; it enters by decision, on the floor that needs it"
}

func within(name, module string) bool {
	return name == module || strings.HasPrefix(name, module+"/")
}

func importPath(spec *ast.ImportSpec) string {
	name, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return name
}

// checkBuilt finds files that no system of the policy builds. Rules that need types would
// not see them.
func checkBuilt(m *module) (found []finding) {
	seen := map[*file]bool{}
	for _, sys := range systems {
		v := &view{module: m, sys: sys}
		for _, p := range m.pkgs {
			for _, f := range p.files {
				if !seen[f] && v.builds(f) {
					seen[f] = true
				}
			}
		}
	}
	for _, p := range m.pkgs {
		for _, f := range p.files {
			if !seen[f] && !f.test() {
				found = append(found, m.find(f.ast.Package, "no system of the policy builds this file: add one to systems"))
			}
		}
	}
	return found
}
