package receiver

import (
	"log/slog"
	"reflect"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// hidden is what was looked at on a reactor: a type around a receiver, and a field of the receiver that its method may hide.
type hidden map[hiding]struct{}

type hiding struct {
	by    reflect.Type
	field string
}

// maxHidden limits the memory. A program has fewer types.
const maxHidden = 1024

// missing follows a call of the function in field, which nobody has set. If the protocol around the receiver has a method of that name, it is told in the
// log that nobody calls it (DESC-45): in Go it hides the field, and does not set it.
func (c *conn) missing(field string) {
	on, ok := c.link.Connection.(interface{ Protocol() reactor.Protocol })
	if !ok {
		return
	}
	u := reflect.ValueOf(c.user)
	for p := range kernel.Layers(on.Protocol()) {
		if p := reflect.ValueOf(p); p.Kind() == reflect.Pointer && p.Type() != u.Type() {
			c.lookAt(p, u, field)
		}
	}
}

// lookAt tells that a method of what p points to hides field of u, if it does.
func (c *conn) lookAt(p, u reflect.Value, field string) {
	r := c.link.Reactor()
	seen := reactor.Shared(r, func() hidden { return make(hidden) })
	this := hiding{p.Type(), field}
	if _, ok := seen[this]; ok || len(seen) == maxHidden {
		return
	}
	seen[this] = struct{}{}
	if !hasMethod(p.Type(), field) || !embeds(p.Elem(), u, maxDepth) {
		return
	}
	r.Logger().Warn("a method that nobody calls: it hides the function that the receiver calls",
		slog.String("type", p.Type().String()), slog.String("method", field),
		slog.String("remedy", "set the function when the protocol is made: p."+u.Elem().Type().Name()+"."+field+" = p."+field))
}

// hasMethod tells whether t has the method. The names are constants, so that the linker can drop all other methods that nobody calls.
func hasMethod(t reflect.Type, name string) (ok bool) {
	switch name {
	case "LineReceived":
		_, ok = t.MethodByName("LineReceived")
	case "RawReceived":
		_, ok = t.MethodByName("RawReceived")
	case "LineLengthExceeded":
		_, ok = t.MethodByName("LineLengthExceeded")
	case "FrameReceived":
		_, ok = t.MethodByName("FrameReceived")
	case "Failed":
		_, ok = t.MethodByName("Failed")
	case "StringReceived":
		_, ok = t.MethodByName("StringReceived")
	case "LengthLimitExceeded":
		_, ok = t.MethodByName("LengthLimitExceeded")
	}
	return ok
}

// maxDepth is how many structs may embed one another. Pointers may go in a circle.
const maxDepth = 8

// embeds tells whether the struct s embeds the receiver to which u points, or a pointer to it, at most depth structs down.
func embeds(s, u reflect.Value, depth int) bool {
	if s.Kind() != reflect.Struct || depth == 0 {
		return false
	}
	for i := range s.NumField() {
		if !s.Type().Field(i).Anonymous {
			continue
		}
		f := s.Field(i)
		if f.Kind() == reflect.Struct {
			f = f.Addr()
		}
		if f.Kind() == reflect.Pointer && !f.IsNil() && (f.Type() == u.Type() && f.Pointer() == u.Pointer() || embeds(f.Elem(), u, depth-1)) {
			return true
		}
	}
	return false
}
