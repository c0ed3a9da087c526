//go:build race

package main

// raced tells whether the race detector is on. With it a process takes ten times as long
// to start, and a simulated run twenty times as long. A simulated run has one goroutine,
// so the detector can find nothing there.
const raced = true
