// Package process has children and their pipes, terminals, and the program's own standard streams, as transports of a reactor.
package process
