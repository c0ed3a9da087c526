package native

import (
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// PROC-12: the loops of a group that start programs at the same moment do not undo one another's care for the signals that the process ignores.
func TestSpawnDefaultSignalsOfSeveral(t *testing.T) {
	const loops, starts = 4, 40
	signal.Ignore(syscall.SIGUSR1)
	defer signal.Reset(syscall.SIGUSR1)
	open := OpenGroup("epoll", Options{})
	var all sync.WaitGroup
	for i := range loops {
		k, err := open(i, loops)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { k.Close() })
		b := &k.(*epoll).base
		all.Go(func() {
			for range starts {
				out, _ := runChild(t, b, kernel.ChildCommand{Path: "/bin/grep", Args: []string{"grep", "SigIgn", "/proc/self/status"}})
				if got := strings.TrimSpace(strings.TrimPrefix(out, "SigIgn:")); strings.Trim(got, "0") != "" {
					t.Errorf("PROC-12: a child ignores %s", got)
					return
				}
			}
		})
	}
	all.Wait()
	if !signal.Ignored(syscall.SIGUSR1) {
		t.Error("PROC-12: the signal is no longer ignored here")
	}
}
