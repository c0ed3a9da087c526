package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// pkg is a package, as go list prints it.
type pkg struct {
	Dir        string
	ImportPath string
	GoFiles    []string
	Module     struct{ Dir string }
}

// list returns the packages that match patterns in the module at root.
func list(root string, patterns []string) ([]pkg, error) {
	cmd := exec.Command("go", append([]string{"list", "-json=Dir,ImportPath,GoFiles,Module", "--"}, patterns...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	var packages []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// mutant is one defect: the bytes from..to of a file become text.
type mutant struct {
	path     string // of the file
	name     string // the path below the module, with slashes
	line     int
	column   int
	function string // the name of the function it is in, with its receiver's type
	from, to int
	text     string
	change   string // what it is, in a line
}

func (m *mutant) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", m.name, m.line, m.function, m.change)
}

// key names m in equivalent.txt. It does not depend on other lines of the file.
func (m *mutant) key() string { return m.name + "\t" + m.function + "\t" + m.change }

// draw brings mutants into the order in which they are drawn. It depends on nothing but
// the seed and each mutant, so another mutant changes little.
func draw(mutants []*mutant, seed uint64) {
	rank := map[*mutant][sha256.Size]byte{}
	for _, m := range mutants {
		text := binary.LittleEndian.AppendUint64(nil, seed)
		rank[m] = sha256.Sum256(fmt.Appendf(text, "%s\t%d", m.key(), m.column))
	}
	slices.SortStableFunc(mutants, func(a, b *mutant) int {
		x, y := rank[a], rank[b]
		return bytes.Compare(x[:], y[:])
	})
}

// find lists the mutants of p, by file and line.
func find(p pkg) ([]*mutant, error) {
	var all []*mutant
	for _, base := range p.GoFiles {
		path := filepath.Join(p.Dir, base)
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(p.Module.Dir, path)
		if err != nil {
			return nil, err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if ast.IsGenerated(f) {
			continue
		}
		v := &finder{set: set, src: src, path: path, name: filepath.ToSlash(name)}
		v.file(f)
		all = append(all, v.found...)
	}
	slices.SortStableFunc(all, func(a, b *mutant) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	return all, nil
}

// finder finds the mutants of a file.
type finder struct {
	set      *token.FileSet
	src      []byte
	path     string
	name     string
	function string
	found    []*mutant
}

// replace adds the mutant in which the code from..to is text. A line keeps its number,
// because text gets the line ends that it lacks.
func (v *finder) replace(from, to token.Pos, text, change string) {
	pos := v.set.Position(from)
	m := &mutant{path: v.path, name: v.name, line: pos.Line, column: pos.Column, function: v.function,
		from: pos.Offset, to: v.set.Position(to).Offset, change: change}
	missing := bytes.Count(v.src[m.from:m.to], []byte("\n")) - strings.Count(text, "\n")
	m.text = text + strings.Repeat("\n", max(missing, 0))
	v.found = append(v.found, m)
}

// code returns the source of n.
func (v *finder) code(n ast.Node) string {
	return string(v.src[v.set.Position(n.Pos()).Offset:v.set.Position(n.End()).Offset])
}

// around returns the line of n, in which a number or a truth value tells more.
func (v *finder) around(n ast.Node) string {
	at := v.set.Position(n.Pos())
	line, _, _ := bytes.Cut(v.src[at.Offset-at.Column+1:], []byte("\n"))
	return cut(string(line))
}

// short returns the source of n in one line of bounded length.
func (v *finder) short(n ast.Node) string { return cut(v.code(n)) }

// cut returns text in one line of at most 70 characters.
func cut(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 70 {
		text = string(runes[:67]) + "..."
	}
	return text
}
