// Package simmain makes a command of simulated worlds. A program of one line,
//
//	func main() { simmain.Main(sums) }
//
// lists its worlds, runs them under many seeds in parallel processes with a progress bar, and
// shows one seed as a timeline or as a page. [Main] has the flags; [Command] is for programs
// with flags of their own, such as whorl sim.
package simmain
