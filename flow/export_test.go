package flow

import "github.com/whorl-go/whorl/reactor"

// GroupsOf is how many groups a factory of LimitRate knows.
func GroupsOf(f reactor.Factory) int { return len(f.(*limiter).groups) }
