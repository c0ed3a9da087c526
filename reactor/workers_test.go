package reactor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// Workers without a goroutine would never work: asking for them is a mistake of the program.
func TestWorkersWithoutGoroutines(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		for _, size := range []int{0, -1} {
			func() {
				defer func() {
					if err, _ := recover().(error); !errors.Is(err, pool.ErrSize) || !strings.Contains(err.Error(), "NewWorkers") {
						t.Errorf("NewWorkers(r, %d) panicked with %v", size, err)
					}
				}()
				reactor.NewWorkers(r, size)
			}()
		}
	})
}
