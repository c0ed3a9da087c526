//go:build !race

package arch

import (
	"path"
	"strings"
	"testing"
)

// at returns the import path of a package of this module.
func at(dir string) string { return modulePath + "/" + dir }

// one returns a tree of one file.
func one(name, src string) map[string]string { return map[string]string{name: src} }

// importing returns a file that imports name.
func importing(pkg, name string) string {
	return "package " + pkg + "\n\nimport _ \"" + name + "\"\n"
}

// lines returns a text of n lines.
func lines(n int) string { return strings.Repeat("//\n", n) }

// function returns a file with a function of n lines.
func function(n int) string {
	return "package frame\n\nfunc f() {\n" + lines(n-2) + "}\n"
}

// plants has what each rule must find, next to what it must not find.
var plants = []plant{
	{"floors", one("stray/a.go", "package stray\n"), "stray has no floor"},
	{"floors", one("reactor/stray/a.go", "package stray\n"), "reactor/stray has no floor"},
	{"floors", one("a.go", "package whorl\n"), ""},
	{"floors", one("bench/go.mod", "") /* and no package */, ""},
	{"floors", map[string]string{"bench/go.mod": "", "bench/main.go": "package main\n"}, ""},
	{"floors", one("sim/testdata/a.go", "package stray\n"), ""},
	{"floors", one("examples/echo/main.go", importing("main", at("sim"))), ""},
	{"floors", one("reactor/a.go", importing("reactor", at("kernel"))), ""},
	{"floors", one("reactor/a.go", importing("reactor", at("sim"))), "above floor 2"},
	{"floors", one("sim/a.go", importing("sim", at("flow"))), "siblings"},
	{"floors", one("sim/a.go", importing("sim", at("sim"))), "siblings"},
	{"floors", one("sim/a.go", importing("sim", at("nowhere"))), "has no floor"},
	{"floors", one("sim/a.go", importing("sim", modulePath)), "above floor 4"},
	{"floors", one("cmd/whorl/a.go", importing("main", at("internal/arch"))), "stands beside"},
	{"floors", one("internal/docs/a.go", importing("docs", at("internal/arch"))), "stands beside"},
	{"floors", one("reactor/a_test.go", importing("reactor", at("sim"))), "above floor 2"},
	{"floors", one("reactor/a_test.go", importing("reactor_test", at("sim"))), ""},
	{"floors", one("reactor/a_test.go", importing("reactor_test", at("nowhere"))), "has no floor"},
	{"floors", one("kernel/native/a.go", importing("native", at("kernel/kerneltest"))), "siblings"},
	{"floors", one("kernel/native/a_test.go", importing("native", at("kernel/kerneltest"))), ""},
	{"floors", one("kernel/native/a.go", importing("native", "golang.org/x/sys/unix")), ""},
	{"floors", one("reactor/a.go", importing("reactor", "golang.org/x/sys/unix")), "not allowed here"},
	{"floors", one("kernel/native/a.go", importing("native", "golang.org/x/system")), "not allowed here"},
	{"floors", one("reactor/a_test.go", importing("reactor", "golang.org/x/sys/unix")), ""},
	{"floors", one("reactor/a_test.go", importing("reactor_test", "example.com/assert")), "not allowed here"},

	{"built", one("frame/a.go", "//go:build ignore\n\npackage frame\n"), "no system"},
	{"built", one("frame/a_plan9.go", "package frame\n"), "no system"},
	{"built", one("frame/a_windows.go", "package frame\n"), ""},
	{"built", one("frame/a.go", "//go:build race\n\npackage frame\n"), ""},

	{"sizes", one("frame/a.go", "package frame\n"+lines(fileLines)), "file of 601 lines"},
	{"sizes", one("frame/a_test.go", "package frame\n"+lines(fileLines)), "file of 601 lines"},
	{"sizes", one("frame/a.go", "package frame\n"+lines(fileLines-1)), ""},
	{"sizes", one("frame/a.go", function(funcLines+1)), "f of 70 lines"},
	{"sizes", one("frame/a.go", function(funcLines)), ""},
	{"sizes", one("frame/a.go", "package frame\n\nvar f = func() {\n"+lines(68)+"}\n"), "function of 70 lines"},
	{"sizes", one("frame/a_test.go", function(testFuncLines+1)), "f of 120 lines"},
	{"sizes", one("frame/a_test.go", function(testFuncLines)), ""},

	{"format", one("frame/a.go", "package frame\nimport  \"fmt\"\n"), "gofmt"},
	{"format", one("frame/a_test.go", "package frame\n\n\n\nvar x =1\n"), "gofmt"},
	{"format", one("frame/a.go", "package frame\n"), ""},

	{"names", one("sim/a.go", "package util\n"), "util says nothing"},
	{"names", one("examples/helpers/a.go", "package main\n"), "says nothing"},
	{"names", one("sim/a.go", "package sim\n"), ""},
}

// commentPlants are for the rule about comments. Each has declarations, and the name that
// lacks a comment.
var commentPlants = map[string]string{
	"func F() {}":                                      "F",
	"// F.\nfunc F() {}":                               "",
	"//go:noinline\nfunc F() {}":                       "F",
	"func f() {}":                                      "",
	"type T int":                                       "T",
	"// T.\ntype T int":                                "",
	"// All.\ntype (\n\tT int\n)":                      "T",
	"type (\n\t// T.\n\tT int\n)":                      "",
	"type t int\n\nfunc (t) M() {}":                    "",
	"// T.\ntype T int\n\nfunc (*T) M() {}":            "M",
	"// T.\ntype T[A any] int\n\nfunc (t T[A]) M() {}": "M",
	"const C = 1":                                      "C",
	"// All.\nconst (\n\tA = 1\n\tB = 2\n)":            "",
	"const (\n\t// A.\n\tA = 1\n\tB = 2\n)":            "B",
	"const (\n\tA = 1 // A.\n)":                        "",
	"var E = 1":                                        "E",
	"var e = 1":                                        "",
}

// statePlants are for the rule about state. Each has the body of a file, and part of the
// finding.
var statePlants = map[string]string{
	"var n int":                                            "n is neither",
	"var n = 1":                                            "n is neither",
	"var f = func() {}":                                    "f is neither",
	"var mu sync.Mutex":                                    "mu is neither",
	"var mu = sync.Mutex{}":                                "mu is neither",
	"var p = &T{}\n\ntype T struct{}":                      "p is neither",
	"var s = errors.Join()":                                "s is neither",
	"var m = make(map[string]int)":                         "m is neither",
	"var s []byte":                                         "s is neither",
	"var err = errors.New(\"x\")":                          "",
	"var err error = &T{}":                                 "",
	"var err = kernel.Sentinel(\"x\")":                     "",
	"var err = kernel.ErrRefused":                          "",
	"var a [4]int":                                         "",
	"var a = [...]int{1}":                                  "",
	"var a = []string{\"x\"}":                              "",
	"var m = map[string]int{\"x\": 1}":                     "",
	"var t = T{1}\n\ntype T struct{ n int }":               "",
	"var t = T[int]{1}\n\ntype T[A any] struct{ n A }":     "",
	"var _ I = (*T)(nil)":                                  "",
	"var _ = two()":                                        "_ is neither",
	"//go:embed x.tsv\nvar s string":                       "",
	"var a [4]int\n\nfunc f() { a[0] = 1 }":                "a changes here",
	"var a [4]int\n\nfunc f() { a[0]++ }":                  "a changes here",
	"var a [4]int\n\nfunc f() { p := &a; _ = p }":          "a changes here",
	"var a [4]int\n\nfunc f() { copy(a[:], \"x\") }":       "a changes here",
	"var a [4]int\n\nfunc f() { a := a; a[0] = 1 }":        "",
	"var a [4]int\n\nfunc f() int { return a[0] }":         "",
	"var a [4]int\n\nfunc f() { for a[0] = range 3 {\n} }": "a changes here",
	"var m = map[int]int{}\n\nfunc f() { delete(m, 1) }":   "m changes here",
	"var t = T{}\n\ntype T struct{ n int }\n\nfunc (t *T) M() {}\n\nfunc f() { t.M() }": "t changes here",
	"var t = T{}\n\ntype T struct{ n int }\n\nfunc (t T) M() {}\n\nfunc f() { t.M() }":  "",
	"var t = T{}\n\ntype T struct{ n int }\n\nfunc f() { t.n = 1 }":                     "t changes here",
	"func f() { kernel.Table[0] = 1 }":                                                  "Table changes here",
}

// wrapperPlants are for the rule about wrappers.
var wrapperPlants = map[string]string{
	"type T struct{ reactor.Transport }":               "T is a reactor.Transport that holds one",
	"type T struct{ reactor.Protocol }":                "T is a reactor.Protocol that holds one",
	"type T struct{ reactor.Transport }\n\ntype A = T": "T is a reactor.Transport",
	"type T struct{ kernel.Conn }":                     "T is a kernel.Conn that holds one",
	"type T struct{ kernel.Kernel }":                   "T is a kernel.Kernel that holds one",
	"type T struct{ kernel.Listener }":                 "T is a kernel.Listener that holds one",
	"type T struct{ reactor.Factory }":                 "T is a reactor.Factory that holds one",
	"type T struct{ inner reactor.Transport }":         "",
	"type T struct{ inner reactor.Transport }\n\nfunc (t *T) Write(p []byte) (int, error) { return 0, nil }\nfunc (t *T) Close() error { return nil }": "T is a reactor.Transport",
	"type T struct{ reactor.Transport }\n\nfunc (t *T) Unwrap() reactor.Transport { return t.Transport }":                                              "",
	"type T struct{ reactor.Transport }\n\nfunc (t *T) Unwrap() error { return nil }":                                                                  "T is a reactor.Transport",
	"type T struct{ reactor.Base }\n\nfunc (t *T) Made() {}":                                                                                           "",
	"type T struct{ outer reactor.Protocol; in reactor.Transport }\n\nfunc (t *T) Made() {}\nfunc (t *T) Unwrap() reactor.Protocol { return t.outer }": "",
	"type T struct{ outer reactor.Protocol }\n\nfunc (t *T) Made() {}":                                                                                 "T is a reactor.Protocol",
}

// assertionPlants are for the rule about capabilities.
var assertionPlants = map[string]string{
	"func f(c kernel.Conn) bool { _, ok := c.(kernel.Vectors); return ok }":                             "kernel.Vectors is asserted",
	"func f(t reactor.Transport) bool { _, ok := t.(reactor.HalfCloser); return ok }":                   "reactor.HalfCloser is asserted",
	"func f(c kernel.Conn) bool { switch c.(type) { case kernel.Vectors: return true }; return false }": "kernel.Vectors is asserted",
	"func f(k any) bool { _, ok := k.(kernel.Conn); return ok }":                                        "",
	"func f(k any) bool { _, ok := k.(error); return ok }":                                              "",
}

// seam has the declarations that wrapperPlants, statePlants and assertionPlants use.
var seam = map[string]string{
	"kernel/kernel.go": `package kernel
type Conn interface { Read(p []byte) (int, error); Abort() error }
type Listener interface { Accept() (Conn, error) }
type Kernel interface { Wait() error }
type Vectors interface { Writev(bufs [][]byte) (int, error) }
var Table = [4]int{}
`,
	"reactor/reactor.go": `package reactor
type Transport interface { Write(p []byte) (int, error); Close() error }
type Protocol interface { Made() }
type Factory interface { BuildProtocol() Protocol }
type HalfCloser interface { CloseWrite() error }
type Base struct { T Transport }
func (b *Base) Made() {}
`,
}

func onSeam(pkg, body string) map[string]string {
	files := map[string]string{}
	for name, src := range seam {
		files[name] = src
	}
	files["flow/a.go"] = "package " + pkg + "\n\nimport (\n\t\"" + at("kernel") + "\"\n\t\"" + at("reactor") + "\"\n)\n\n" + body + "\n"
	return files
}

// allPlants returns plants, and the plants that the other tables and the bans describe in
// short form.
func allPlants() []plant {
	all := plants
	for body, name := range commentPlants {
		if name != "" {
			name = "exported " + name + " has no comment"
		}
		all = append(all, plant{"comments", one("frame/a.go", "package frame\n\n"+body+"\n"), name})
		all = append(all, plant{"comments", one("frame/a_test.go", "package frame\n\n"+body+"\n"), ""})
	}
	for body, want := range statePlants {
		all = append(all, plant{"state", onSeam("flow", "import (\n\t\"errors\"\n\t\"sync\"\n)\n\n"+body), want})
	}
	for body, want := range assertionPlants {
		all = append(all, plant{"asserts", onSeam("flow", body), want})
	}
	for body, want := range wrapperPlants {
		all = append(all, plant{"wrappers", onSeam("flow", body), want})
	}
	all = append(all, plant{"wrappers", one("reactor/a.go", strings.Replace(seam["reactor/reactor.go"], "T Transport", "P Protocol", 1)), ""})
	for _, b := range bans {
		all = append(all, banPlants(b)...)
	}
	return append(all, orderPlants()...)
}

// banPlants uses each thing that b forbids, once where the ban holds and once where it
// does not.
func banPlants(b ban) (list []plant) {
	held, free := "", fields(b.in)
	if b.below > 0 {
		free = fields(floors[b.below])
	} else if b.in != "" {
		free = []string{"service"}
	}
	for dir := range b.except {
		free = append(free, dir)
	}
	for _, floor := range floors {
		for _, dir := range fields(floor) {
			if !strings.Contains(dir, "...") && b.holds(dir, "") {
				held = dir
			}
		}
	}
	for _, what := range fields(b.what) {
		src := sourceThatSays(what)
		list = append(list, plant{"bans", one(held+"/a.go", src), b.because})
		list = append(list, plant{"bans", one(held+"/a_windows.go", src), b.because})
		list = append(list, plant{"bans", one(held+"/a_test.go", src), ""})
		for _, dir := range free {
			name := strings.Replace(dir, "...", "x", 1)
			if !strings.HasSuffix(name, ".go") { // an exception may be a file
				name += "/a.go"
			}
			list = append(list, plant{"bans", one(name, src), ""})
		}
	}
	return list
}

// sourceThatSays returns a file that uses what.
func sourceThatSays(what string) string {
	switch kind, rest, _ := strings.Cut(what, ":"); kind {
	case "go":
		return "package x\n\nfunc f() { go f() }\n"
	case "func":
		return "package x\n\nfunc " + rest + "() {}\n"
	case "range":
		return "package x\n\nfunc f(m map[string]int) {\n\tfor range m {\n\t}\n}\n"
	case "builtin":
		return "package x\n\nfunc f() { " + rest + "(1) }\n"
	case "import":
		if rest == "." {
			return "package x\n\nimport . \"errors\"\n"
		}
		return importing("x", rest)
	}
	dir, name := path.Split(what)
	pkg, fn, _ := strings.Cut(name, ".")
	// Imported under another name, and not called. The ban holds all the same.
	return "package x\n\nimport other \"" + dir + pkg + "\"\n\nfunc f() any { return other." + fn + " }\n"
}

// orderPlants depend on the order of a map in various ways, or avoid it.
func orderPlants() (list []plant) {
	add := func(body, want string) {
		src := "package sim\n\nimport (\n\t\"maps\"\n\t\"net/netip\"\n\t\"slices\"\n\t\"time\"\n)\n\n" + body + "\n"
		list = append(list, plant{"bans", one("sim/a.go", src), want})
	}
	const order = "order would differ"
	add("type T struct{ m map[netip.Addr]time.Time }\n\nfunc (t *T) f() {\n\tfor range t.m {\n\t}\n}", order)
	add("type M map[netip.Addr]int\n\nfunc f(m M) {\n\tfor range m {\n\t}\n}", order)
	add("func f() {\n\tm := map[netip.Addr]int{}\n\tfor range m {\n\t}\n}", order)
	add("func f() {\n\tm := make(map[string][]netip.Addr)\n\tfor range m {\n\t}\n}", order)
	add("func f[K comparable, M ~map[K]int](m M) {\n\tfor range m {\n\t}\n}", order)
	add("func f(m map[int]int) {\n\tslices.Collect(maps.Keys(m))\n}", order)
	add("func f(m map[int]int) {\n\tfor range slices.Sorted(maps.Keys(m)) {\n\t}\n}", "")
	add("func f(m map[int]int, s []int) {\n\tfor range s {\n\t\t_ = m[1]\n\t}\n}", "")
	// A type may depend on the system.
	list = append(list, plant{"bans", map[string]string{
		"sim/a.go":         "package sim\n\nfunc f(t T) {\n\tfor range t {\n\t}\n}\n",
		"sim/t_linux.go":   "package sim\n\ntype T []int\n",
		"sim/t_windows.go": "package sim\n\ntype T map[int]int\n",
	}, order})
	add("func f(time struct{ Now func() }) {\n\ttime.Now()\n}", "")
	return list
}

// TestRulesCanFail runs every rule on its plants. A rule that finds none of them cannot
// fail, and fails here.
func TestRulesCanFail(t *testing.T) {
	caught := map[string]int{}
	for _, p := range allPlants() {
		m, err := load(p.fs())
		if err != nil {
			t.Errorf("%v: %v", p.files, err)
			continue
		}
		found := rules[p.rule](m)
		switch {
		case p.want == "" && len(found) > 0:
			t.Errorf("rule %s: %v in\n%v", p.rule, found, p.files)
		case p.want != "" && (len(found) != 1 || !strings.Contains(found[0].text, p.want)):
			t.Errorf("rule %s: got %v, want one finding with %q in\n%v", p.rule, found, p.want, p.files)
		case p.want != "":
			caught[p.rule]++
		}
	}
	for name := range rules {
		if caught[name] == 0 {
			t.Errorf("nothing is planted for rule %s", name)
		}
	}
}
