package timerheap

import "testing"

// A node stands once in the list of the postponed, however often it is postponed. What has
// left the heap is held by nothing in it.
func TestHeapHoldsNothing(t *testing.T) {
	var h Heap[int]
	var nodes [3]Node[int]
	for i := range nodes {
		h.Set(&nodes[i], 10, uint64(i))
	}
	for range 5 {
		if !h.Postpone(&nodes[0], 1, 20, 9) {
			t.Fatal("not postponed")
		}
	}
	if len(h.postponed) != 1 {
		t.Errorf("it stands %d times in the list", len(h.postponed))
	}
	h.Settle(5)
	for i, n := range h.postponed[:cap(h.postponed)] {
		if n != nil {
			t.Errorf("postponed[%d] holds a node", i)
		}
	}
	for i := range nodes {
		h.Remove(&nodes[i])
	}
	for i, e := range h.entries[:cap(h.entries)] {
		if e.node != nil {
			t.Errorf("entries[%d] holds a node", i)
		}
	}
}
