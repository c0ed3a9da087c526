//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

// interfaceName leaves it to package net, which needs no descriptor on these systems.
func interfaceName(int, uint32) (string, bool) { return "", false }

// interfaceIndex leaves it to package net.
func interfaceIndex(int, string) (uint32, bool) { return 0, false }
