package kernel_test

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// named is a kernel with one capability. shell is a wrapper without any.
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
	if _, ok := kernel.As[kernel.Reserver](shell{named{}}); ok {
		t.Error("found what is not there")
	}
	if _, ok := kernel.As[kernel.Reserver](nil); ok {
		t.Error("found in nothing")
	}
}

// Limits are found through wrappers too. A kernel that tells none has none.
func TestLimitsOf(t *testing.T) {
	if l := kernel.LimitsOf(shell{limited{}}); !l.NoFailed {
		t.Errorf("limits %+v", l)
	}
	if l := kernel.LimitsOf(shell{named{}}); l != (kernel.Limits{}) {
		t.Errorf("limits %+v", l)
	}
}

type limited struct{ kernel.Kernel }

func (limited) Limits() kernel.Limits { return kernel.Limits{NoFailed: true} }

// Each Ready has a name of its own, letter by letter.
func TestReadyString(t *testing.T) {
	names := ""
	for r := range kernel.Failed << 1 {
		names += r.String() + " "
	}
	if names != "- r w rw f rf wf rwf " {
		t.Error(names)
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

// plain is a kernel without Unwrap.
type plain struct{ kernel.Kernel }

func (plain) Name() string { return "plain" }
