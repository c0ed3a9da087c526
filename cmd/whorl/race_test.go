//go:build race

package main

// searched is which seeds scripts search for a failure. The race detector makes each
// twenty times as long.
const searched = "40..60"
