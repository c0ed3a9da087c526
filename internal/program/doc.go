// Package program is what a program does for its user and its service manager, whatever it serves: it ends on signals, says that it is
// ready or about to end, and writes the rest of its log. Package service and the front door use it.
package program
