package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// A drawing is XML, has a bar for each server that was measured with its ratio, and says when there is nothing to draw.
func TestPlot(t *testing.T) {
	results := []result{
		{Workload: "echo<100>", Servers: []string{"whorl", "net"}, Sets: []set{{"whorl": {PerCPU: 130}, "net": {PerCPU: 100}}, {"whorl": {PerCPU: 120}, "net": {PerCPU: 100}}}},
		{Workload: "stream", Servers: []string{"whorl", "net", "broken"}, Sets: []set{{"whorl": {PerCPU: 900}, "net": {PerCPU: 100}, "broken": {PerCPU: 1}}}, Failed: []failure{{"broken", "it ended"}}},
	}
	var out strings.Builder
	if err := plot(&out, results, "net"); err != nil {
		t.Fatal(err)
	}
	bars := 0
	for d := xml.NewDecoder(strings.NewReader(out.String())); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars != 1+4 { // the background too
		t.Errorf("%d bars", bars-1)
	}
	for _, want := range []string{"echo&lt;100&gt;", ">1.25<", ">9.00<", ">1.00<"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in %s", want, out.String())
		}
	}
	if err := plot(io.Discard, nil, "net"); err == nil {
		t.Error("nothing was drawn, without a word")
	}
}
