package reactor

import "reflect"

// Shared is the value of type T that r keeps: what first returned when it was asked for
// the first time. A package keeps here, under a type of its own, what its connections on
// one reactor have in common. It is for the loop's goroutine.
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
