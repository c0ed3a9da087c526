//go:build !windows && !plan9 && !js && !wasip1

package activation

import "syscall"

func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
