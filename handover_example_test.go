package whorl_test

import (
	"context"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/reactor"
)

func ExampleConfig_handover() {
	serve := func(ctx context.Context, f reactor.Factory) error {
		c := whorl.Config{Handover: "/run/app/handover"}
		err := c.Serve(ctx, f, "tcp:8007", "unix:/run/app/app.sock")
		return err
	}
	_ = serve
}
