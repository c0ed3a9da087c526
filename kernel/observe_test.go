package kernel_test

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// Every kind of note and every site has a name of its own; options and traces rely on it.
func TestNoteAndSiteNames(t *testing.T) {
	seen := map[string]bool{"note": true, "site": true, "": true}
	callbacks, others := 0, 0
	for k := kernel.NoteKind(1); k <= kernel.NotePanic; k++ {
		name := k.String()
		if !k.Callback() && k < kernel.NoteDataDone {
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
	if callbacks != int(kernel.NoteStopProducer) || others != 10 {
		t.Errorf("%d callbacks, %d others", callbacks, others)
	}
	resets := 0
	for s := range kernel.Sites {
		if seen[s.String()] {
			t.Errorf("site %d is called %q", s, s)
		}
		seen[s.String()] = true
		if s.Resets() {
			resets++
		}
	}
	if resets != 3 || kernel.Sites.String() != "site" || kernel.NoteKind(255).String() != "note" {
		t.Errorf("%d sites reset", resets)
	}
}

// named is a kernel that can do one thing more, and shell one that holds another.
type named struct{ kernel.Kernel }
type shell struct{ kernel.Kernel }

func (named) Name() string            { return "inside" }
func (s shell) Unwrap() kernel.Kernel { return s.Kernel }
func (s named) Unwrap() kernel.Kernel { return s.Kernel }

// As looks through wrappers, and takes the outermost.
func TestAs(t *testing.T) {
	if n, ok := kernel.As[kernel.Named](shell{shell{named{}}}); !ok || n.Name() != "inside" {
		t.Errorf("not found: %v", n)
	}
	if _, ok := kernel.As[kernel.Rare](shell{named{}}); ok {
		t.Error("found what is not there")
	}
	if _, ok := kernel.As[kernel.Rare](nil); ok {
		t.Error("found in nothing")
	}
}

// Base is below all wrappers.
func TestBase(t *testing.T) {
	for _, k := range []kernel.Kernel{plain{}, shell{plain{}}, shell{named{plain{}}}} {
		if n := kernel.NameOf(kernel.Base(k)); n != "plain" {
			t.Errorf("%q is below %T", n, k)
		}
	}
}

// plain is around nothing.
type plain struct{ kernel.Kernel }

func (plain) Name() string { return "plain" }
