package reactor

import (
	"maps"
	"sync"
)

// factoryUses counts the uses of factories that were started on one loop. When a loop of a group is lost, its group's ports go on with the
// table, on another loop: so a factory is stopped as often as it was started, wherever its ports are.
type factoryUses struct {
	mu   sync.Mutex
	of   map[Factory]factoryUse
	lost bool // the loop has ended
}

// factoryUse is what a table knows of one StartStopper.
type factoryUse struct {
	by [2]int   // uses, by their kind
	on *Reactor // that UsedOn was called with last
}

// useKind tells who uses a factory.
type useKind uint8

const (
	useLoop  useKind = iota // something that ends with the loop
	useGroup                // a port of a group
)

// add counts a use of f, and returns true if it is the first. on is then the loop that UsedOn will be called with.
func (u *factoryUses) add(f Factory, by useKind, on *Reactor) (first bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	use := u.of[f]
	first = use.by == [2]int{}
	if first {
		use.on = on
	}
	use.by[by]++
	u.of[f] = use
	return first
}

// drop is the reverse of add. It returns true if the use was the last.
func (u *factoryUses) drop(f Factory, by useKind) (last bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	use := u.of[f]
	if use.by[by] == 0 {
		return false
	}
	use.by[by]--
	forgotten := u.lost && by == useGroup // the uses of a lost loop do not end by themselves
	if use.by[useGroup] > 0 || use.by[useLoop] > 0 && !forgotten {
		u.of[f] = use
		return false
	}
	delete(u.of, f)
	return true
}

// move notes that UsedOn of f is called with on, and returns false if it was before, or if f is not in use.
func (u *factoryUses) move(f Factory, on *Reactor) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	use, ok := u.of[f]
	if !ok || use.on == on {
		return false
	}
	use.on = on
	u.of[f] = use
	return true
}

// loopLost forgets the uses of the loop of the table, which has ended: they do not end by themselves. So no port of the group waits for them, and the
// table, which such a port keeps, does not keep the loop.
func (u *factoryUses) loopLost() {
	u.mu.Lock()
	defer u.mu.Unlock()
	maps.DeleteFunc(u.of, func(_ Factory, use factoryUse) bool { return use.by[useGroup] == 0 })
	u.lost = true
}
