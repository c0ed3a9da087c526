//go:build !race

package sim_test

// seeds is how many seeds a search has.
const seeds, raced = 200, false
