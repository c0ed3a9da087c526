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
