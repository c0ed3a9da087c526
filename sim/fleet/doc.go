// Package fleet runs a simulated world under many seeds in processes of their own: a seed
// that brings its process down, or does not end, fails alone, and the others go on.
//
// A [Batch] is the parent: it starts processes, hands out seeds as [Job]s and collects a
// [Verdict] for each. A process that calls [Work] is a worker. Usually both are the same
// program, see [Self]. Package sim/simmain makes a command of it.
package fleet
