//go:build !race

package main

// searched is which seeds scripts search for a failure: so many.
const searched = "200"
