//go:build !race

package handover_test

// raced tells that the race detector is on, which it is not.
const raced = false
