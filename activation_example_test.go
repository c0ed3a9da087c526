package whorl_test

import (
	"context"
	"errors"
	"testing"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// The code about sockets of a service manager in docs/serve.md.

// serveActivated serves what the service manager has passed.
func serveActivated(f reactor.Factory) error {
	c := whorl.Config{Activation: activation.Take()}
	err := c.Serve(context.Background(), f, "systemd:name=http", "systemd:domain=UNIX:name=control")
	return err
}

// Nothing was passed to the test, which is an error that names the place.
func TestServeActivated(t *testing.T) {
	err := serveActivated(reactor.FactoryFunc(nil))
	var p *whorl.PlaceError
	if e, ok := errors.AsType[*endpoint.ArgumentError](err); !ok || e.Argument != "name" || !errors.As(err, &p) || p.Place != "systemd:name=http" {
		t.Errorf("nothing was passed: %v", err)
	}
}
