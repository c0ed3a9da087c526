//go:build race

package sim_test

// seeds is how many seeds a search has. The race detector makes each twenty times as long,
// and looks for what cannot be in one goroutine.
const seeds, raced = 8, true
