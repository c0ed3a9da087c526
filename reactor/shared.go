package reactor

import "reflect"

// Shared returns the value of type T that r keeps. The first call makes it by calling first.
// A package uses it, with a type of its own, for what its connections on one reactor share.
// Shared is for the loop's goroutine.
func Shared[T any](r *Reactor, first func() T) T {
	t := reflect.TypeFor[T]()
	v, ok := r.shared[t].(T)
	if !ok {
		v = first()
		if r.shared == nil {
			r.shared = make(map[reflect.Type]any)
		}
		r.shared[t] = v
	}
	return v
}
