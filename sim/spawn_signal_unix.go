//go:build unix

package sim

import "syscall"

// defaultAction is what s does to a program that has not asked for it.
func defaultAction(s syscall.Signal) action {
	switch s {
	case syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
		return stops
	case syscall.SIGCONT:
		return continues
	case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGWINCH:
		return nothing
	}
	return ends
}
