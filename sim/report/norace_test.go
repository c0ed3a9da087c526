//go:build !race

package report_test

// raced tells whether the race detector is on.
const raced = false
