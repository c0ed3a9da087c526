package native

import (
	"os"
	"os/signal"
	"sync"
)

// signals is the kernel.Signals of every kernel here.
type signals struct{}

// Notify calls fn on one goroutine of its own for each delivery of one of sigs,
// in the order of delivery. Up to 64 deliveries wait while fn runs, more are
// dropped. Without sigs it does nothing. stop returns when that goroutine has
// ended, so fn must not call it; a second call does nothing.
func (signals) Notify(fn func(os.Signal), sigs ...os.Signal) (stop func()) {
	if len(sigs) == 0 {
		return func() {}
	}
	c := make(chan os.Signal, 64)
	quit, ended := make(chan struct{}), make(chan struct{})
	signal.Notify(c, sigs...)
	go func() {
		defer close(ended)
		for {
			select {
			case <-quit:
				return
			case s := <-c:
				fn(s)
			}
		}
	}()
	return sync.OnceFunc(func() {
		signal.Stop(c)
		close(quit)
		<-ended
	})
}
