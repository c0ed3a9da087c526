package device_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/kernel"
)

// These tests build and run on every system.

// SERIAL-1: settings that cannot be are named on every system, and where there are no serial ports yet that is said.
func TestSerialEverywhere(t *testing.T) {
	for option, c := range map[string]device.SerialConfig{
		"Baud": {Baud: -1}, "DataBits": {DataBits: 9}, "StopBits": {StopBits: 3}, "Parity": {Parity: device.SpaceParity + 1},
	} {
		if e, ok := errors.AsType[*kernel.OptionError](c.Check()); !ok || e.Option != option {
			t.Errorf("SERIAL-1: %+v: %v", c, c.Check())
		}
	}
	if runtime.GOOS == "linux" {
		return
	}
	_, err := device.OpenSerial("port", device.SerialConfig{})
	if !errors.Is(err, device.ErrUnsupported) || !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "not supported by this system") {
		t.Errorf("OpenSerial: %v", err)
	}
}
