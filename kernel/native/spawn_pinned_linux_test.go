package native

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// GROUP-16: what a pinned thread spawns is not bound, with limits and without. The thread is bound as before.
func TestSpawnPinned(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			b := openWith(t, name)
			all, err := b.CPUs()
			if err != nil {
				t.Fatal(err)
			}
			if len(all) < 2 {
				t.Skip("there is one CPU")
			}
			status, err := os.ReadFile("/proc/thread-self/status")
			if err != nil {
				t.Skip(err)
			}
			const line = "Cpus_allowed_list:"
			_, want, _ := strings.Cut(string(status), line)
			want, _, _ = strings.Cut(want, "\n")
			for _, cpu := range all[:2] {
				if err := b.Pin(cpu); err != nil {
					t.Fatal(err)
				}
				for _, limits := range [][]kernel.ResourceLimit{nil, {{Resource: unix.RLIMIT_CORE}}} {
					got, _ := runChild(t, b, kernel.ChildCommand{Args: []string{"sh", "-c", "grep " + line + " /proc/self/status"}, Env: os.Environ(), Limits: limits})
					if got = strings.TrimSpace(strings.TrimPrefix(got, line)); got != strings.TrimSpace(want) {
						t.Errorf("GROUP-16: the child may run on %q, want %q", got, want)
					}
					if now, err := b.CPUs(); err != nil || !slices.Equal(now, []int{cpu}) {
						t.Errorf("GROUP-16: afterwards the thread may run on %v, want %d: %v", now, cpu, err)
					}
				}
			}
		})
	}
}
