//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package native

// familyName is nothing: these systems do not tell it.
func familyName(int) string { return "" }

// disconnect cannot reset a connection that somebody else has too.
func disconnect(int) bool { return false }
