//go:build race

package main

// searched is how many seeds scripts search for a failure. The race detector makes each
// twenty times as long.
const searched = "60"
