//go:build !race

package main

// searched is how many seeds scripts search for a failure.
const searched = "200"
