//go:build !unix

package certs

import "os"

// openNow opens a file for reading. The pipes of such a system are not files.
func openNow(path string) (*os.File, error) { return os.Open(path) }
