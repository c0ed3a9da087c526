package pool_test

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/whorl-go/whorl/pool"
)

// With a single processor, the goroutine that a task gives its result goes on before the
// next task, however many wait. So a loop does not stand still until all of them are
// done.
func TestResultComesBeforeTheNextTask(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	p := pool.New(pool.Config{Max: 1})
	defer p.Stop()
	const tasks = 100
	var begun atomic.Int64
	ahead := int64(0)
	results := make(chan struct{}, tasks)
	for range tasks {
		if err := p.Submit(func() { begun.Add(1); results <- struct{}{} }); err != nil {
			t.Fatal(err)
		}
	}
	p.Start()
	for heard := int64(1); heard <= tasks; heard++ {
		<-results
		ahead = max(ahead, begun.Load()-heard)
	}
	if ahead > tasks/10 {
		t.Errorf("%d tasks were done before the result of one was seen", ahead)
	}
}
