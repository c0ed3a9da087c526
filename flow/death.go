package flow

import "github.com/whorl-go/whorl/reactor"

// lender is a factory that counts its connections for several loops.
type lender interface {
	// died takes back what the connections of r have. It is called when a callback has ended the goroutine of r's loop: they are gone
	// then, and nobody is told of their loss.
	died(r *reactor.Reactor)
}

// lent are the lenders of one reactor, with the number of their connections on it. A lender without any is not kept in memory.
type lent map[lender]int

func lentOf(r *reactor.Reactor) lent {
	return reactor.Shared(r, func() lent {
		all := lent{}
		r.OnDeath(func() {
			for l := range all { // in any order, because none knows of another
				l.died(r)
			}
		})
		return all
	})
}

// add counts a connection of l.
func (all lent) add(l lender) { all[l]++ }

// remove uncounts it.
func (all lent) remove(l lender) {
	if all[l]--; all[l] == 0 {
		delete(all, l)
	}
}
