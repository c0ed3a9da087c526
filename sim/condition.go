package sim

import (
	"fmt"
	"strings"
	"time"
)

// Condition is a state of a world that has a name.
type Condition struct {
	// Name is a word or a few, the same in every run.
	Name string
	// Holds tells whether the world is in this state now. It is called between steps.
	Holds func() bool
}

// WaitError tells that a world did not become what [Checks.Eventually] and [Checks.Done]
// demand, once the faults were off.
type WaitError struct {
	// Unmet are the names of the conditions that did not hold at the end, in the order of
	// Eventually. "Done" stands for Checks.Done, and comes last.
	Unmet []string
	// Err is a *StuckError: time was over, or nothing was left that could happen.
	Err error
}

// Error names the conditions.
func (e *WaitError) Error() string {
	return fmt.Sprintf("still waits for %s: %v", strings.Join(e.Unmet, ", "), e.Err)
}

// Unwrap is Err.
func (e *WaitError) Unwrap() error { return e.Err }

// waits tells whether there is anything to wait for.
func (c *Checks) waits() bool { return c.Done != nil || len(c.Eventually) > 0 }

// met tells whether all conditions hold now.
func (c *Checks) met() bool {
	for i := range c.Eventually {
		if !c.Eventually[i].Holds() {
			return false
		}
	}
	return c.Done == nil || c.Done()
}

// unmet are the names of the conditions that do not hold now.
func (c *Checks) unmet() (names []string) {
	for i := range c.Eventually {
		if !c.Eventually[i].Holds() {
			names = append(names, c.Eventually[i].Name)
		}
	}
	if c.Done != nil && !c.Done() {
		names = append(names, "Done")
	}
	return names
}

// State is a state that should be reached in some run, see [Net.Sometimes].
type State struct {
	Name string `json:"name"`
	// Reached tells whether this run was in it, and At when first.
	Reached bool          `json:"reached"`
	At      time.Duration `json:"at_ns,omitempty"`
}

// Sometimes tells the network that cond should be true in some run, though not in each: that
// a client has read while a leader had lost its lease, say. A check that needs such a state
// finds nothing in runs that never reach it, and passes for the wrong reason. Test and the
// command of worlds report the states that no seed has reached.
//
// name is the same in every run. A state is known from the first call on, with cond false too.
// List it in [Checks.Sometimes], so that it is known also if no run ever comes to the call.
// The first time in a run is in the trace. Call it in callbacks and between steps.
func (n *Net) Sometimes(name string, cond bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sometimes("", name, cond)
}

// sometimes is Sometimes on a host, "" for none.
func (n *Net) sometimes(host, name string, cond bool) {
	i, known := n.stateOf[name]
	if !known {
		i = len(n.states)
		n.stateOf[name] = i
		n.states = append(n.states, State{Name: name})
	}
	s := &n.states[i]
	if !cond || s.Reached {
		return
	}
	s.Reached, s.At = true, n.now
	id := 0
	if h := n.byName[host]; h != nil {
		id = h.id
	}
	n.trace.add(n.KeepTrace, id, line{at: n.now, op: OpReached, host: host, text: name})
}

// States are the states that [Net.Sometimes] and [Checks.Sometimes] have named so far, in the
// order in which they became known. The slice is the caller's.
func (n *Net) States() []State {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]State(nil), n.states...)
}

// watch looks at the states of the checks that were not reached yet.
func (x *run) watch() {
	for i := range x.checks.Sometimes {
		c := &x.checks.Sometimes[i]
		if c.Holds != nil && !x.reached[i] && c.Holds() {
			x.reached[i] = true
			x.n.Sometimes(c.Name, true)
		}
	}
}
