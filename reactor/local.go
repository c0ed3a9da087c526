package reactor

import "reflect"

// Local is the value of type T that r keeps: what first returned when it was asked for
// the first time. A package keeps here, under a type of its own, what its connections on
// one reactor have in common. It is for the loop's goroutine.
func Local[T any](r *Reactor, first func() T) T {
	t := reflect.TypeFor[T]()
	v, ok := r.locals[t].(T)
	if !ok {
		v = first()
		if r.locals == nil {
			r.locals = make(map[reflect.Type]any)
		}
		r.locals[t] = v
	}
	return v
}
