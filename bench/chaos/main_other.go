//go:build !linux

// Command chaos runs on Linux only.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "chaos: this program runs on Linux only: it limits descriptors, reads /proc and makes network namespaces.")
	os.Exit(1)
}
