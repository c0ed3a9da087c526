package probe_test

import (
	"testing"

	"github.com/whorl-go/whorl/kernel/probe"
)

// Every kind of note and every site has a name of its own. Options and traces rely on
// that.
func TestNoteAndSiteNames(t *testing.T) {
	seen := map[string]bool{"note": true, "site": true, "": true}
	callbacks, others := 0, 0
	for k := probe.NoteKind(1); k <= probe.NoteDiscarded; k++ {
		name := k.String()
		if !k.Callback() && k < probe.NoteDataDone {
			if name != "note" {
				t.Errorf("note %d is no kind and is called %q", k, name)
			}
			continue
		}
		if seen[name] {
			t.Errorf("note %d is called %q", k, name)
		}
		seen[name] = true
		if k.Callback() {
			callbacks++
		} else {
			others++
		}
	}
	if callbacks != int(probe.NoteStopProtocol) || others != 12 {
		t.Errorf("%d callbacks, %d others", callbacks, others)
	}
	for s := range probe.Sites {
		if seen[s.String()] {
			t.Errorf("site %d is called %q", s, s)
		}
		seen[s.String()] = true
	}
	if probe.Sites.String() != "site" || probe.NoteKind(255).String() != "note" {
		t.Errorf("what is none is called %q and %q", probe.Sites, probe.NoteKind(255))
	}
}
