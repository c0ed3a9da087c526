package kernel_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// A number of a user or group that the system would cut is refused: 1<<32 would be root.
func TestCheckSpawnCredential(t *testing.T) {
	if strconv.IntSize < 64 {
		t.Skip("an int has no number above the greatest")
	}
	most := int(1<<31-1) * 2 // 1<<32 - 2
	check := func(c kernel.Credential) error {
		return kernel.CheckSpawn(&kernel.ChildCommand{Path: "/bin/true", Args: []string{"true"}, Credential: &c})
	}
	for _, c := range []kernel.Credential{{}, {UID: -1, GID: -1}, {UID: most, GID: most, Groups: []int{0, most}}} {
		if err := check(c); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, c := range []kernel.Credential{{UID: most + 1}, {UID: most + 2}, {GID: most + 2}, {Groups: []int{1, most + 1}}, {Groups: []int{most + 2}}, {Groups: []int{-1}}} {
		err := check(c)
		if oe, ok := errors.AsType[*kernel.OptionError](err); !ok || oe.Option != "Credential" || !errors.Is(err, kernel.ErrInvalidOption) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
