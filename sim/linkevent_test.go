package sim_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/sim"
)

// What is done to a link is an event that says which way, and what.
func TestLinkEvents(t *testing.T) {
	n := sim.New(1)
	n.KeepTrace = true
	n.Host("a")
	n.Host("b")
	n.PartitionOneWay("a", "b")()
	n.Hold("a", "b")()
	n.ClogOneWay("b", "a", time.Second)
	var got []string
	for e := range n.Events() {
		got = append(got, fmt.Sprint(e.Host, " ", e.What(), " ", e.From, ">", e.To, " ", e.Text, typed(e)))
	}
	want := []string{"a cut a>b ", "a heal a>b ", "a cut a>b hold, held", "b cut b>a hold, held", "a heal a>b hold, held", "b heal b>a hold, held", "b clog b>a 1s, lasts 1s"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// typed is what a program reads instead of the text.
func typed(e sim.TraceEvent) string {
	switch {
	case e.Held:
		return ", held"
	case e.Lasts > 0:
		return ", lasts " + e.Lasts.String()
	}
	return ""
}

// Hosts are in the order in which they were made, and the slice is the caller's.
func TestHosts(t *testing.T) {
	n := sim.New(1)
	n.Host("b")
	n.Host("a")
	n.Host("b")
	n.Hosts()[0] = nil
	if all := n.Hosts(); len(all) != 2 || all[0] != n.Host("b") || all[1] != n.Host("a") {
		t.Errorf("hosts are %v", all)
	}
}
