//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package process

// closeFD does nothing: nothing was opened.
func closeFD(int) {}

// giveFD does nothing either.
func giveFD(int, int) {}
