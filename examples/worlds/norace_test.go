//go:build !race

package worlds

// raced tells whether the race detector is on.
const raced = false
