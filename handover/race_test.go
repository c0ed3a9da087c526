//go:build race

package handover_test

// raced tells that the race detector is on.
const raced = true
