package device_test

import (
	"testing"

	"github.com/whorl-go/whorl/device"
)

// INOT-9: a mask is written as the list of its events.
func TestMask(t *testing.T) {
	for m, want := range map[device.Mask]string{
		0: "0", device.Create | device.IsDir: "create|isdir", device.Moved: "movedfrom|movedto", device.Overflow: "overflow", 1 << 12: "0x1000",
		device.Everything:                       "access|modify|attrib|closewrite|closenowrite|open|movedfrom|movedto|create|delete|deleteself|moveself",
		device.Unmount | device.Ignored | 1<<20: "unmount|ignored|0x100000",
	} {
		if got := m.String(); got != want {
			t.Errorf("INOT-9: %#x is %q, want %q", uint32(m), got, want)
		}
	}
}
