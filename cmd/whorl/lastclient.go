package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// lastClient ends a server when its last client has gone, if each of its places has one client, which is there from the beginning: stdio: and serial:.
// Nobody else can come. The process would wait for ever, and inetd would leave one behind for each client. Its methods may be called on any goroutine,
// and of nil.
type lastClient struct {
	where string // the places, for errors

	mu       sync.Mutex
	left     int  // clients
	stopping bool // what ends from now on, the server has ended
	err      error
	stop     context.CancelFunc
}

// lastClientOf is nil unless every place that texts name has one client.
func lastClientOf(known *endpoint.Schemes, texts []string) *lastClient {
	for _, text := range texts {
		if p, err := known.Server(text); err != nil || !singleClient(p) {
			return nil
		}
	}
	return &lastClient{where: strings.TrimSuffix(strings.Join(texts, ", "), ":"), left: len(texts)}
}

// singleClient tells whether p has one client, which is there from the beginning.
func singleClient(p endpoint.Server) bool {
	switch p.(type) {
	case *std.StdioServer, *std.SerialServer:
		return true
	}
	return false
}

// watch has the server end by stop, which may be called on any goroutine. r is its first loop, which runs.
func (l *lastClient) watch(r *reactor.Reactor) {
	if l == nil {
		return
	}
	if g := r.Group(); g != nil {
		g.AddStopTrigger(func(done func()) { l.stops(); done() })
		return
	}
	r.AddTrigger(reactor.Before, reactor.Shutdown, l.stops)
}

func (l *lastClient) stops() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopping = true
}

// ended notes that a client has gone, and why.
func (l *lastClient) ended(reason error) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left--; !l.stopping && l.err == nil {
		l.err = l.failure(reason)
	}
	if l.left == 0 {
		l.stop()
	}
}

// failure is the error of the program for the end of a client, nil for one in order.
func (l *lastClient) failure(reason error) error {
	if reason == nil || reason == io.EOF || reason == reactor.ErrClosed {
		return nil
	}
	if op, ok := errors.AsType[*reactor.OpError](reason); ok && op.Remote.IsZero() && errors.Is(reason, syscall.EPIPE) {
		return errQuiet
	}
	if reason == reactor.ErrAborted || reason == kernel.ErrBroken {
		reason = errNoOutput
	}
	return fmt.Errorf("%s: %w", l.where, reason)
}

// errNoOutput stands for errors of connections whose output is lost while the input lives. These do not say why.
var errNoOutput = errors.New("the output is lost: nobody reads it, or it cannot be written")

// result is why the program has failed, if a client has gone in disorder.
func (l *lastClient) result() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
