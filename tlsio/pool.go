package tlsio

import (
	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/reactor"
)

// fileReaders are the workers of one reactor that read certificate files.
type fileReaders struct{ *reactor.Workers }

// readFiles runs a look off the loop; done is called on the loop.
func readFiles(r *reactor.Reactor, look func() *certs.Findings, done func(*certs.Findings, error)) {
	readers := reactor.Shared(r, func() fileReaders { return fileReaders{reactor.NewWorkers(r, 1)} })
	reactor.Work(readers.Workers, func() (*certs.Findings, error) { return look(), nil }, done)
}
