package sim

import "github.com/whorl-go/whorl/kernel/probe"

var _ probe.Explorer = (*simKernel)(nil)

// branch is a rare branch of a program. Its source is its own, so that what else is drawn is
// drawn alike with and without it.
type branch struct {
	random random
	level  float64 // from which Options.Rare on it is enabled
	count  RareCount
}

// RareCount tells how often a rare branch of programs was passed while it was enabled, and
// how often it was taken.
type RareCount struct {
	Name          string
	Passed, Fired int
}

// Rare is probe.Explorer.
func (k *simKernel) Rare(name string) bool {
	n := k.n
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.branchOf[name]
	if b == nil {
		b = &branch{random: stream(n.seed, "rare "+name), count: RareCount{Name: name}}
		b.level = float64(b.random.next()>>11) / (1 << 53) / siteChance
		n.branchOf[name] = b
		n.branches = append(n.branches, b)
	}
	if b.level >= n.Options.Rare || k.gone {
		return false
	}
	b.count.Passed++
	if !b.random.chance(siteChance) {
		return false
	}
	b.count.Fired++
	n.trace.add(n.KeepTrace, k.h.id, line{at: n.now, op: OpRare, sub: uint8(Sites), host: k.h.name, text: name})
	return true
}

// Sometimes is probe.Explorer.
func (k *simKernel) Sometimes(name string, cond bool) {
	k.n.mu.Lock()
	defer k.n.mu.Unlock()
	k.n.sometimes(k.h.name, name, cond)
}

// Rares is one count for each branch that programs have named by Reactor.Rare, in the order in
// which they became known. The slice is the caller's.
func (n *Net) Rares() (counts []RareCount) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, b := range n.branches {
		counts = append(counts, b.count)
	}
	return counts
}
