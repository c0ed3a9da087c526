package native

import (
	"os"
	"os/signal"
	"sync"
)

// signals implements kernel.Signals for every kernel of this package.
type signals struct{}

// Notify calls fn for each delivery of one of sigs, in order, on a goroutine of its own.
// Up to 64 deliveries wait while fn runs; more are dropped. Without sigs it does nothing.
//
// stop waits until that goroutine has ended, so fn must not call it. A second call of
// stop does nothing.
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
