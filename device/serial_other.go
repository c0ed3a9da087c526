//go:build !(linux && (386 || amd64 || arm || arm64 || loong64 || riscv64 || s390x))

package device

import "time"

// settings are none.
type settings struct{}

func openPort(string) (int, error)                 { return -1, ErrUnsupported }
func claimPort(int, bool) (alone bool, err error)  { return false, ErrUnsupported }
func closePort(int)                                {}
func getSettings(int) (settings, error)            { return settings{}, ErrUnsupported }
func setSettings(int, settings) error              { return ErrUnsupported }
func encode(s settings, _ SerialConfig) settings   { return s }
func decode(settings) SerialConfig                 { return SerialConfig{} }
func flushPort(int, bool, bool) error              { return ErrUnsupported }
func waitingIn(int) (input, output int, err error) { return 0, 0, ErrUnsupported }
func setBreak(int, bool) error                     { return ErrUnsupported }
func getLines(int) (Lines, error)                  { return 0, ErrUnsupported }
func setLines(int, Lines, Lines) error             { return ErrUnsupported }
func drainPort(int, time.Duration, int)            {}
func restorePort(int, settings, bool)              {}
