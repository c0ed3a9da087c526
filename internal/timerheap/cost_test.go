package timerheap

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TIME-20: moving and removing a node changes the places of no more entries than the heap is deep.
func TestCostOfAMove(t *testing.T) {
	const n, deep = 1 << 14, 7 // four children each: 4^7 are 1<<14
	rnd := rand.New(rand.NewPCG(1, 2))
	var h Heap[int]
	nodes, was := make([]Node[int], n), make([]int32, n)
	due := func() time.Duration { return time.Duration(rnd.IntN(1 << 30)) }
	for i := range nodes {
		h.Set(&nodes[i], due(), uint64(i))
	}
	for op := range uint64(600) {
		for i := range nodes {
			was[i] = nodes[i].pos
		}
		x := &nodes[rnd.IntN(n)]
		switch {
		case !x.Active() || op%3 == 0:
			h.Set(x, due(), n+op)
		case op%3 == 1:
			h.Set(x, 0, n+op) // before all others
		default:
			h.Remove(x)
		}
		moved := 0
		for i := range nodes {
			if nodes[i].Active() && nodes[i].pos != was[i] {
				moved++
			}
		}
		if moved > deep+2 {
			t.Fatalf("TIME-20: operation %d moved %d of %d entries, at most %d", op, moved, n, deep+2)
		}
	}
}
