// Package copied copies a DelayedCall, which go vet must find.
package copied

import "github.com/whorl-go/whorl/reactor"

func copied(d *reactor.DelayedCall) {
	c := *d
	c.Cancel()
}
