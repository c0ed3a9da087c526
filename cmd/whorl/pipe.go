package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// outliveReaders has the program go on when nobody can read its standard output or standard error
// any more: writing fails with EPIPE instead of ending the program by SIGPIPE. Package whorl does
// that while it serves; this holds until the program ends. SIGPIPE is taken and not ignored, so
// that it is not ignored in children.
func outliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// freeFiles is how many descriptors must be free at the start: enough for the runtime's poller and
// a kernel. Who finds none left after that fails with an error. With a limit of 12 there are as
// many, because the runtime holds two besides the standard streams.
const freeFiles = 7

// moreFiles is what to do about a limit that is too low. What a server needs depends on its places and loops.
const moreFiles = "raise the limit of descriptors, ulimit -n: each connection needs one, and the program itself some 20, or more with many loops or places"

var errFewFiles = errors.New("too few descriptors: " + moreFiles)
