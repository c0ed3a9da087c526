package whorl

import (
	"context"
	"sync"
	"time"

	"github.com/whorl-go/whorl/logqueue"
)

// lastWords is how long the log may take at the end, for what is still in its queue.
const lastWords = time.Second

// queueLogs puts a queue before the loggers, so that a log that blocks does not stop the loop.
// finish is called when the loop has ended. It waits until the queue is written, but no longer
// than lastWords. A second call does nothing.
func (c *Config) queueLogs() (finish func()) {
	q := logqueue.New(0)
	c.Logger, c.Reactor.Logger = q.Logger(c.Logger), q.Logger(c.Reactor.Logger)
	return sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), lastWords)
		defer cancel()
		_ = q.Flush(ctx) // nobody is left to tell that the log is stuck
	})
}
