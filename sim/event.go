package sim

import "time"

// event is something that happens at a time: a segment arrives, or what was put
// off is done.
type event struct {
	at    time.Duration
	tie   uint64 // decides among events of the same moment
	flow  *half
	epoch uint32 // of the flow; the event is void when it has another by then
	what  what
	fn    func()
}

type what uint8

const (
	arrive what = iota // the flow's first segment reaches its host
	again              // the flow is sent again
	giveUp             // the flow has not come through for too long
	call               // fn
)

// events is a heap, the earliest first.
type events []event

func (a *event) before(b *event) bool {
	return a.at < b.at || a.at == b.at && a.tie < b.tie
}

func (h *events) push(e event) {
	q := append(*h, e)
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q[up]) {
			break
		}
		q[i] = q[up]
		i = up
	}
	q[i] = e
	*h = q
}

func (h *events) pop() event {
	q := *h
	first, last := q[0], q[len(q)-1]
	q[len(q)-1] = event{}
	q = q[:len(q)-1]
	*h = q
	if len(q) == 0 {
		return first
	}
	i := 0
	for {
		least := 4*i + 1
		if least >= len(q) {
			break
		}
		for j := least + 1; j < min(4*i+5, len(q)); j++ {
			if q[j].before(&q[least]) {
				least = j
			}
		}
		if !q[least].before(&last) {
			break
		}
		q[i] = q[least]
		i = least
	}
	q[i] = last
	return first
}
