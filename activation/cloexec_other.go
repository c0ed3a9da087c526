//go:build windows || plan9 || js || wasip1

package activation

// closeOnExec does nothing: such a system passes no descriptors by number.
func closeOnExec(int) {}
