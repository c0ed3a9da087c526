package testworld

import (
	"slices"
	"testing"
	"time"
)

// ReapLimit is how long Reap waits for children.
const ReapLimit = 60 * time.Second

// Reap is for tests that start processes of the system. When the test ends, the children of this process that it has left behind are
// waited for. One that has not exited after ReapLimit is killed, and the test fails. It neither takes signals nor changes how they
// are handled. Call it before the worlds of the test make reactors, so that those have ended before, and not in parallel tests: a
// child that another test has started meanwhile would be taken for one that was left. On systems that do not list children it does nothing.
func Reap(t testing.TB) {
	t.Helper()
	reapWithin(t, ReapLimit)
}

func reapWithin(t testing.TB, limit time.Duration) {
	t.Helper()
	before := children()
	t.Cleanup(func() {
		for range limit / step {
			if left := reapAll(before); len(left) == 0 {
				return
			}
			time.Sleep(step)
		}
		for _, pid := range reapAll(before) {
			killChild(pid)
			t.Errorf("the test left the child %d, which was killed after %v", pid, limit)
		}
	})
}

// reapAll reaps the children that have exited, except those of before, and returns the others.
func reapAll(before []int) (left []int) {
	for _, pid := range children() {
		if !slices.Contains(before, pid) && !reapChild(pid) {
			left = append(left, pid)
		}
	}
	return left
}
