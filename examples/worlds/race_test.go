//go:build race

package worlds

// raced tells whether the race detector is on, under which a run takes some twenty times as long.
const raced = true
