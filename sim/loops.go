package sim

import "strconv"

// Loops is a program of n loops on the machine of h: h itself, and further Hosts beside it ([Host.Beside]), which are named after it,
// "srv/1" and so on. Each has a Kernel and a Reactor; reactor.GroupOf makes a group of them. Which of those that have something to do
// is turned next, the seed draws. It is called once, before h is used.
//
// Kill of one of them is the loss of that loop. Its Reactor is another one afterwards, and the program given to Start is called on
// it, which tells the group by Replace. Crash and Restart are of the machine, so of all loops. GracefulRestart is not for
// them: a group that was stopped does not run again.
func (h *Host) Loops(n int) []*Host {
	all := []*Host{h}
	for i := 1; i < n; i++ {
		all = append(all, h.Beside(h.name+"/"+strconv.Itoa(i)))
	}
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	for _, x := range all {
		x.loops = all
	}
	return all
}

// ready tells whether the host's reactor has something to do now.
func (h *Host) ready() bool { return h.runs() && h.busy <= h.n.now && h.k.pending() }

// drawn is h, or another loop of its program that has something to do now.
func (n *Net) drawn(h *Host) *Host {
	if len(h.loops) < 2 {
		return h
	}
	var ready []*Host
	for _, x := range h.loops {
		if x.ready() {
			ready = append(ready, x)
		}
	}
	return ready[n.random.below(len(ready))]
}
