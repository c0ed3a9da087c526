package logqueue_test

import (
	"context"
	"log/slog"
	"os"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/logqueue"
	"github.com/whorl-go/whorl/reactor"
)

// A reactor whose log may block without stopping the loop.
func Example() {
	k, err := native.Open("")
	if err != nil {
		panic(err)
	}
	q := logqueue.New(0)
	r := reactor.New(k, reactor.Config{Logger: slog.New(q.Handler(slog.NewTextHandler(os.Stderr, nil)))})
	r.CallWhenRunning(func() { r.Stop() })
	_ = r.Run(context.Background())
	_ = q.Flush(context.Background()) // at the end of the program
}
