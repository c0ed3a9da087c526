//go:build unix

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// endBy ends the process by sig, which no longer has a handler, so that the shell sees what has ended it. It returns if sig does not.
func endBy(sig os.Signal) {
	s, ok := sig.(syscall.Signal)
	if !ok {
		return
	}
	signal.Reset(s)
	if syscall.Kill(os.Getpid(), s) == nil {
		ctx, cancel := context.WithTimeout(context.Background(), lastWords)
		defer cancel()
		<-ctx.Done() // the runtime takes it on another thread
	}
}
