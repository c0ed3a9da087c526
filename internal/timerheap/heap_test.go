package timerheap_test

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/timerheap"
)

// model is the heap as a list in which every due time is known at once.
type model struct {
	t     *testing.T
	heap  timerheap.Heap[int]
	nodes []timerheap.Node[int]
	due   map[int]time.Duration // of those in the heap
	order map[int]uint64
	later map[int]time.Duration // delays that the next settle starts
	now   time.Duration
	next  uint64
}

func newModel(t *testing.T, nodes int) *model {
	m := &model{
		t: t, nodes: make([]timerheap.Node[int], nodes),
		due: map[int]time.Duration{}, order: map[int]uint64{}, later: map[int]time.Duration{}, now: 1,
	}
	for i := range m.nodes {
		m.nodes[i].Init(i)
	}
	return m
}

func (m *model) set(i int, due time.Duration) {
	m.next++
	m.heap.Set(&m.nodes[i], due, m.next)
	m.due[i], m.order[i] = due, m.next
	delete(m.later, i)
}

// reset does as a reactor does: it postpones if the heap lets it.
func (m *model) reset(i int, past, delay time.Duration) {
	m.next++
	if m.heap.Postpone(&m.nodes[i], past, delay, m.next) {
		if _, ok := m.due[i]; !ok {
			m.t.Fatalf("node %d was postponed and is not in the heap", i)
		}
		m.later[i], m.order[i] = delay, m.next
		return
	}
	m.next--
	m.set(i, m.now+delay)
}

func (m *model) remove(i int) {
	if m.nodes[i].Active() {
		m.heap.Remove(&m.nodes[i])
		if m.nodes[i].State() != timerheap.Removed {
			m.t.Fatalf("a removed node is %v", m.nodes[i].State())
		}
	}
	delete(m.due, i)
	delete(m.later, i)
}

func (m *model) settle() {
	if m.heap.Unsettled() {
		m.heap.Settle(m.now)
	}
	for i, delay := range m.later {
		m.due[i] = m.now + delay
	}
	clear(m.later)
}

// run takes what is due, and compares it with the list.
func (m *model) run() {
	m.settle()
	var want, got []int
	least := timerheap.Never
	for i, due := range m.due {
		least = min(least, due)
		if due <= m.now {
			want = append(want, i)
		}
	}
	slices.SortFunc(want, func(a, b int) int {
		return cmp.Or(cmp.Compare(m.due[a], m.due[b]), cmp.Compare(m.order[a], m.order[b]))
	})
	if next := m.heap.Next(); next > least {
		m.t.Fatalf("the next is due at %v, Next is %v", least, next)
	}
	for n := m.heap.Due(m.now); n != nil; n = m.heap.Due(m.now) {
		if n.When() != m.due[n.Value] || n.Order() != m.order[n.Value] {
			m.t.Fatalf("node %d: due at %v, order %d", n.Value, n.When(), n.Order())
		}
		m.heap.Take(n)
		if n.Active() || n.State() != timerheap.Taken {
			m.t.Fatalf("a node that was taken is %v", n.State())
		}
		got = append(got, n.Value)
		delete(m.due, n.Value)
	}
	if !slices.Equal(got, want) {
		m.t.Fatalf("at %v came %v, not %v", m.now, got, want)
	}
}

// check compares what is in the heap with the list.
func (m *model) check() {
	var all []int
	for n := range m.heap.All() {
		all = append(all, n.Value)
	}
	slices.Sort(all)
	if len(all) != m.heap.Len() || len(slices.Compact(all)) != len(m.due) {
		m.t.Fatalf("%d nodes, Len is %d, not %d", len(all), m.heap.Len(), len(m.due))
	}
	for _, i := range all {
		if _, ok := m.due[i]; !ok || !m.nodes[i].Active() {
			m.t.Fatalf("node %d is in the heap", i)
		}
	}
}

// Random calls give what a sorted list gives: never early, earlier first, equals in order.
func TestAgainstList(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		m := newModel(t, 1+rng.IntN(300))
		past := m.now
		for range 2000 {
			i := rng.IntN(len(m.nodes))
			switch rng.IntN(12) {
			case 0, 1:
				m.set(i, m.now+time.Duration(rng.IntN(50))-10)
			case 2, 3, 4, 5, 6:
				m.reset(i, past, time.Duration(rng.IntN(60)))
			case 7:
				m.remove(i)
			case 8, 9:
				m.now += time.Duration(rng.IntN(5)) // later in the same turn
			case 10:
				m.settle()
			case 11:
				m.now += time.Duration(rng.IntN(20))
				past = m.now
				m.run()
			}
			if rng.IntN(100) == 0 {
				m.check()
			}
		}
		m.settle()
		m.now += 1000
		m.run()
		if m.heap.Len() != 0 || m.heap.Next() != timerheap.Never {
			t.Fatalf("seed %d: %d nodes are left", seed, m.heap.Len())
		}
	}
}

func TestPostpone(t *testing.T) {
	var h timerheap.Heap[string]
	var n timerheap.Node[string]
	if n.State() != timerheap.New || h.Postpone(&n, 1, 10, 1) {
		t.Error("a node that is in no heap was postponed")
	}
	h.Set(&n, 100, 1)
	for _, c := range []struct {
		past, delay time.Duration
		want        bool
		why         string
	}{
		{1, 98, false, "it is due sooner"},
		{1, 99, true, "it is due no sooner"},
		{0, 99, true, "again, with an older reading of the clock"},
		{1, 500, true, "again, later"},
		{1, 99, true, "again, sooner, at the place of its entry"},
		{1, timerheap.Never/2 - 1, true, "again, as late as may be"},
		{1, 500, true, "again, later"},
		{1, 300, true, "again, sooner, but not before the place of its entry"},
		{1, 50, false, "again, before the place of its entry"},
		{1, timerheap.Never / 2, false, "the sum might overflow"},
	} {
		if got := h.Postpone(&n, c.past, c.delay, 2); got != c.want {
			t.Errorf("%s: %v", c.why, got)
		}
	}
	if n.State() != timerheap.Postponed || n.When() != 300 || h.Next() != 100 || !h.Unsettled() {
		t.Errorf("%v, delay %v, next %v", n.State(), n.When(), h.Next())
	}
	h.Settle(20)
	if n.State() != timerheap.Waiting || n.When() != 320 || h.Unsettled() {
		t.Errorf("%v, due %v", n.State(), n.When())
	}
	if h.Due(319) != nil || h.Next() != 320 || h.Due(320) != &n {
		t.Errorf("next %v", h.Next())
	}
}

// A node that leaves the heap while it is postponed keeps no due time from Settle.
func TestPostponedAndGone(t *testing.T) {
	var h timerheap.Heap[int]
	var n timerheap.Node[int]
	h.Set(&n, 10, 1)
	h.Postpone(&n, 1, 50, 2)
	h.Remove(&n)
	n.Init(7)
	h.Set(&n, 30, 3) // back again before Settle
	h.Settle(5)
	if n.State() != timerheap.Waiting || n.When() != 30 || h.Due(30) != &n || h.Len() != 1 {
		t.Errorf("%v, due %v, %d nodes", n.State(), n.When(), h.Len())
	}
}

func TestAllocs(t *testing.T) {
	var h timerheap.Heap[int]
	nodes := make([]timerheap.Node[int], 100)
	now := time.Duration(1)
	turn := func() {
		for i := range nodes {
			if !h.Postpone(&nodes[i], now, time.Duration(i), uint64(i)) {
				h.Set(&nodes[i], now+time.Duration(i), uint64(i))
			}
		}
		now += 10
		h.Settle(now)
		for n := h.Due(now); n != nil; n = h.Due(now) {
			h.Take(n)
		}
		for i := range nodes {
			if nodes[i].Active() && i%3 == 0 {
				h.Remove(&nodes[i])
			}
		}
	}
	turn()
	turn()
	if n := testing.AllocsPerRun(100, turn); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
