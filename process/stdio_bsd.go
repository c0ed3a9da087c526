//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package process

import "golang.org/x/sys/unix"

// openAgain fails: /dev/fd makes duplicates here.
func openAgain(int, int, file) (int, bool) { return -1, false }

// dupOver makes the number to another one of from.
func dupOver(from, to int, closeOnExec bool) error {
	err := unix.Dup2(from, to)
	if err == nil && closeOnExec {
		unix.CloseOnExec(to)
	}
	return err
}
