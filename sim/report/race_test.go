//go:build race

package report_test

// raced tells whether the race detector is on. It makes a process start ten times as slowly
// and a simulated run twenty times, and looks for what cannot be in one goroutine.
const raced = true
