package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// documentsOf returns a listing with these documents and an index with these contents.
func documentsOf(contents string, docs map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{index: {Data: []byte(contents)}}
	for name, text := range docs {
		fsys[listing+"/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// line returns the entry of a promise, such as "TCP-1".
func line(name string) string {
	return fmt.Sprintf("* <a id=\"%s\"></a>%s: it holds.\n", strings.ToLower(name), name)
}

func TestReadListing(t *testing.T) {
	areas, entries, err := readListing(documentsOf("[TCP](tcp.md#tcp) [X](b.md#x) [Y](b.md#y)", map[string]string{
		"b.md": "# Promises\n\n* [a link](x.md) belongs to no area, but is an item.\n",
	}))
	if err == nil {
		t.Errorf("an item that is no promise is accepted: %v, %v", areas, entries)
	}
	areas, entries, err = readListing(documentsOf("[TCP](tcp.md#tcp) [X](b.md#x) [Y](b.md#y)", map[string]string{
		"b.md": "# Promises\n\nOf two areas: X-9.\n\n## X: one\n\n**Not built yet.**\n\n" + line("X-1") + "\n## Y: other\n\nText.\n",
		"tcp.md": "## TCP: the first, by the index\r\n\r\n**Partly built.** So far.\r\n\r\n### Ports\r\n\r\n" +
			"* <a id=\"tcp-1\"></a>TCP-1: differs. " + mark + "\r\n### Streams\n" + line("TCP-2"),
	}))
	if err != nil {
		t.Fatal(err)
	}
	wantAreas := []area{
		{Name: "TCP", Title: "the first, by the index", State: "partly built", Total: 2},
		{Name: "X", Title: "one", State: "not built yet", Total: 1},
		{Name: "Y", Title: "other"},
	}
	if !reflect.DeepEqual(areas, wantAreas) {
		t.Errorf("got  %+v\nwant %+v", areas, wantAreas)
	}
	wantEntries := []entry{
		{citation{"docs/promises/tcp.md", 7, "TCP", "1", true}, true},
		{citation{"docs/promises/tcp.md", 9, "TCP", "2", true}, false},
		{citation{"docs/promises/b.md", 9, "X", "1", true}, false},
	}
	if !reflect.DeepEqual(entries, wantEntries) {
		t.Errorf("got  %+v\nwant %+v", entries, wantEntries)
	}
}

func TestReadListingRefuses(t *testing.T) {
	tcp := "## TCP: tcp\n"
	for text, want := range map[string]string{
		tcp + line("TCP-1") + line("TCP-2") + line("TCP-1"): "a.md:4: TCP-1 stands twice, or after a greater number",
		tcp + line("TCP-1") + line("TCP-1"):                 "a.md:3: TCP-1 stands twice, or after a greater number",
		tcp + line("TCP-2"):                                 "a.md:2: TCP-2 stands where TCP-1 should",
		tcp + line("TCP-1") + line("TCP-3") + line("TCP-4"): "a.md:3: TCP-3 stands where TCP-2 should",
		tcp + line("TCP-0"):                                 "a.md:2: not of the form",
		tcp + line("TCP-01"):                                "a.md:2: not of the form",
		tcp + "* TCP-1: no anchor\n":                        "a.md:2: not of the form",
		tcp + "* <a id=\"tcp-1\"></a>TCP-1:\n":              "a.md:2: not of the form",
		tcp + "* <a id=\"tcp-2\"></a>TCP-1: x\n":            `a.md:2: TCP-1 has the anchor "tcp-2"`,
		tcp + line("UDP-1"):                                 "a.md:2: UDP-1 does not stand under the heading of UDP",
		line("TCP-1"):                                       "a.md:1: TCP-1 does not stand under the heading of TCP",
		tcp + "## Ports\n" + line("TCP-1"):                  `a.md:2: "## Ports" is not of the form "## AREA: title"`,
		tcp + line("TCP-1") + tcp:                           "a.md:3: area TCP stands twice",
		"## UDP: not in the index\n":                        `docs/promises/README.md has no link that begins with "[UDP](a.md#"`,
		tcp + "* <a id=\"tcp-99999999999999999999\"></a>TCP-99999999999999999999: x\n": "out of range",
	} {
		_, _, err := readListing(documentsOf("[TCP](a.md#tcp)", map[string]string{"a.md": text}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if _, _, err := readListing(fstest.MapFS{}); err == nil {
		t.Error("a tree without a listing is accepted")
	}
	if _, _, err := readListing(documentsOf("nothing", nil)); err == nil {
		t.Error("an empty listing is accepted")
	}
}

// The error names everything that is wrong.
func TestReadListingTellsAll(t *testing.T) {
	_, _, err := readListing(documentsOf("[TCP](a.md#tcp)", map[string]string{"a.md": "## TCP: x\n* one\n* two\n"}))
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("got %v", err)
	}
}

var row = regexp.MustCompile(`(?m)^\| \[([A-Z]+)\]\([^)]*\) \| ([^|]*) \| (.*?) ?\|$`)

// The listing of this repository is complete: every promise that was ever given has its
// line. The index agrees with it.
func TestListing(t *testing.T) {
	fsys := os.DirFS("../..")
	areas, entries, err := readListing(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if len(areas) < 43 || len(entries) < 824 {
		t.Errorf("%d promises in %d areas; there were 824 in 43", len(entries), len(areas))
	}
	contents, err := os.ReadFile("../../" + index)
	if err != nil {
		t.Fatal(err)
	}
	rows := row.FindAllStringSubmatch(string(contents), -1)
	if len(rows) != len(areas) {
		t.Fatalf("the index has %d areas, not %d", len(rows), len(areas))
	}
	states := map[string]string{"": "", "not built yet": "not yet", "partly built": "partly"}
	for i, a := range areas {
		want := []string{a.Name, a.Title, states[a.State]}
		if got := rows[i][1:]; !reflect.DeepEqual(got, want) {
			t.Errorf("the index says %q, the listing %q", got, want)
		}
		if a.Total == 0 {
			t.Errorf("area %s has no promise", a.Name)
		}
	}
}
