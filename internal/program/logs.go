package program

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/whorl-go/whorl/logqueue"
)

// LastWords is how long the log may take at the end, for what is still in its queue.
const LastWords = time.Second

// QueueLogs puts one queue before all loggers that are not nil, so that a log that blocks does not stop the loop.
// finish is called when the loop has ended. It waits until the queue is written, but no longer
// than LastWords. A second call does nothing.
func QueueLogs(logs ...**slog.Logger) (finish func()) {
	q := logqueue.New(0)
	for _, l := range logs {
		*l = q.Logger(*l)
	}
	return sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), LastWords)
		defer cancel()
		_ = q.Flush(ctx) // nobody is left to tell that the log is stuck
	})
}
