package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// documents returns all Markdown files of the repository, by path.
func documents(t *testing.T) map[string]string {
	return files(t, ".md")
}

func files(t *testing.T, ext string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ext:
			return nil
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

var block = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// pieces returns the blocks of Go in a document.
func pieces(text string) []string {
	var found []string
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

func TestCodeIsCompiled(t *testing.T) {
	sources := files(t, ".go")
	total := 0
	for doc, text := range documents(t) {
		for _, piece := range pieces(text) {
			total++
			compiled := false
			for _, src := range sources {
				compiled = compiled || strings.Contains(src, piece)
			}
			if !compiled {
				t.Errorf("%s: no file that is compiled has this:\n%s", doc, piece)
			}
		}
	}
	if total < 8 {
		t.Errorf("only %d pieces of Go in all documents: are they still found?", total)
	}
}

// The echo servers in README.md are whole programs, those of examples/echo and of
// examples/echoloop, which are built and tested there. The first has at most six lines
// besides its imports and closing braces; the main of the second has at most ten.
func TestEchoServers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "## An echo server")
	shown := pieces(after)
	for i, name := range []string{"examples/echo/main.go", "examples/echoloop/main.go"} {
		program, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(shown) <= i || !strings.HasPrefix(shown[i], "package main") || !strings.HasSuffix(string(program), shown[i]) {
			t.Fatalf("echo server %d of README.md is not the whole of %s", i, name)
		}
	}
	_, code, _ := strings.Cut(shown[0], "\n)\n")
	lines := 0
	for line := range strings.Lines(code) {
		if strings.Trim(line, " \t\n}") != "" {
			lines++
		}
	}
	if lines < 1 || lines > 6 {
		t.Errorf("the short echo server has %d lines", lines)
	}
	_, body, _ := strings.Cut(shown[1], "func main() {\n")
	if lines := strings.Count(body, "\n") - 1; lines < 1 || lines > 10 {
		t.Errorf("main of the long echo server has %d lines", lines)
	}
}

var anyBlock = regexp.MustCompile("(?ms)^```.*?^```$")

var link = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)

var (
	title    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	anchor   = regexp.MustCompile(`<a id="([^"]*)">`)
	unlinked = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors returns what a link into a document may name: the anchors in its text, and its
// headings as GitHub turns them into anchors.
func anchors(text string) map[string]bool {
	found := make(map[string]bool)
	for _, m := range anchor.FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	for _, m := range title.FindAllStringSubmatch(text, -1) {
		plain := unlinked.ReplaceAllString(strings.ToLower(m[1]), "")
		found[strings.ReplaceAll(plain, " ", "-")] = true
	}
	return found
}

func TestAnchors(t *testing.T) {
	got := anchors("# A `b`: c-d, e_f!\n* <a id=\"x-1\"></a>X-1: y\n")
	if len(got) != 2 || !got["a-b-c-d-e_f"] || !got["x-1"] {
		t.Errorf("got %v", got)
	}
}

func TestLinksLead(t *testing.T) {
	docs := documents(t)
	for doc, text := range docs {
		text = anyBlock.ReplaceAllString(text, "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target := doc
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(doc), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %v", doc, err)
			}
			if place, _ := strings.CutPrefix(m[2], "#"); place != "" && !anchors(docs[target])[place] {
				t.Errorf("%s: %s has no place %q", doc, target, place)
			}
		}
	}
}
