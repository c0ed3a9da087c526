//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package lockfile

// isZombie is not asked here: the number alone tells.
func isZombie(int) bool { return false }
