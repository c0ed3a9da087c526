//go:build unix

package certs

import (
	"os"
	"syscall"
)

// openNow opens a file for reading without waiting. Opening a pipe would wait for a writer
// otherwise, and a terminal must not become that of the process.
func openNow(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}
