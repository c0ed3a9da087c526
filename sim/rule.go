package sim

import (
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// Rule judges a segment as it arrives. It is called on the goroutine that drives the
// network. It must not call the Net, what lives on the Net, or the function that removes
// a rule. The segment is lent until it returns.
type Rule func(*Segment) Verdict

// rule is a Rule in force.
type rule struct {
	judge Rule
	until time.Duration // it is not asked from then on
}

// AddRule adds a rule behind those there are, and returns a function that removes it.
// Rules are asked in the order in which they were added. The first verdict that is not
// zero stands, and the rules behind it are not asked; if all verdicts are zero, the segment
// passes. A segment that [Options.Drop] loses is shown to no rule.
//
// Rules can be added and removed between steps, in functions given to At, and in
// callbacks. Removing a rule twice does nothing.
func (n *Net) AddRule(judge Rule) (remove func()) { return n.AddRuleFor(kernel.Forever, judge) }

// AddRuleFor is AddRule for a time: the rule is not asked any more when d has passed from
// now, in true time.
func (n *Net) AddRuleFor(d time.Duration, judge Rule) (remove func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := &rule{judge: judge, until: kernel.Forever}
	if d < kernel.Forever-n.now {
		r.until = n.now + d
	}
	n.rules = slices.DeleteFunc(n.rules, func(old *rule) bool { return old.until <= n.now })
	n.rules = append(n.rules, r)
	n.keepAlive()
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.rules = slices.DeleteFunc(n.rules, func(x *rule) bool { return x == r })
	}
}

// ruled tells whether there are rules that are asked.
func (n *Net) ruled() bool {
	return slices.ContainsFunc(n.rules, func(r *rule) bool { return n.now < r.until })
}

// judge asks the rules about a segment.
func (n *Net) judge(s *Segment) Verdict {
	for _, r := range n.rules {
		if n.now >= r.until {
			continue
		}
		if v := r.judge(s); v != (Verdict{}) {
			return v
		}
	}
	return Verdict{}
}
