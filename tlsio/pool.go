package tlsio

import (
	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// This file has all that leaves the loop: computing, which would hold it up, and
// reading files, which may block.

// onLoop tells whether work of r's is done on its loop instead.
func (s Stack) onLoop(r *reactor.Reactor) bool {
	switch s {
	case StackPool:
		return false
	case StackLoop:
		return true
	}
	return kernel.NameOf(kernel.Base(r.Kernel())) == "sim"
}

// compute runs fn on a goroutine of r's pool.
func compute(r *reactor.Reactor, fn func()) error { return r.CallInThread(fn) }

// readFiles runs a look on a goroutine of r's pool; done is called on the loop.
func readFiles(r *reactor.Reactor, look func() *certs.Findings, done func(*certs.Findings, error)) {
	reactor.InThread(r, func() (*certs.Findings, error) { return look(), nil }, done)
}
