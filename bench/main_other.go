//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bench: this program measures on Linux only: it pins processes to CPUs and reads their CPU clocks.")
	fmt.Fprintln(os.Stderr, "The micro benchmarks run everywhere: go test -bench .")
	os.Exit(1)
}
