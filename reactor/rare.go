package reactor

// Rare tells whether the program should take a rare branch of its own now: one byte at a
// time, a cache that forgets, a retry without need. A branch that a run takes once a year
// is tested as often as the others then. name is the branch's, the same in every run.
//
// It is always false on the kernel of an operating system, and costs a comparison there. A
// simulated kernel draws it from the seed, if the class "rare" of its options is on. So take
// only branches that keep the program correct. Call it on the loop's goroutine.
func (r *Reactor) Rare(name string) bool { return r.explorer != nil && r.explorer.Rare(name) }

// Sometimes tells a simulated kernel that cond should be true in some run, though not in
// each. A test of many seeds then reports the name if it was true in none, because what is
// to be checked there was never checked. See sim.Net.Sometimes.
//
// It does nothing on the kernel of an operating system, and costs a comparison there. Call it
// on the loop's goroutine.
func (r *Reactor) Sometimes(name string, cond bool) {
	if r.explorer != nil {
		r.explorer.Sometimes(name, cond)
	}
}
