// Package report shows one run of a simulated world to people: as a [Timeline], a line for
// each thing that happened, or as a [Page], a picture that a browser draws.
//
// It reads the typed events of [sim.Net.Events]; the run must have kept its trace. Names and
// texts of the program are escaped: they neither move a terminal's cursor nor become markup.
package report
