// Package lockfile has the lock files of UNIX sockets: a symbolic link whose target is the number
// of the process that holds it. A link is made in one step, so two processes cannot both make
// it; and the link of a process that has died tells so.
//
// Twisted makes the same links, so both keep each other out.
package lockfile
