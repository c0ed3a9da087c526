package reactor

import (
	"context"
	"log/slog"
	"reflect"

	"github.com/whorl-go/whorl/kernel"
)

// OptionalMethod is a method of an optional interface, as a [MethodCheck] looks for it.
type OptionalMethod struct {
	// Interface is the name for the log, such as "reactor.HalfCloseListener". The methods of
	// one interface follow each other in the list.
	Interface string
	// Find calls MethodByName of its argument, with the name of the method as a constant. A
	// constant lets the linker drop all other methods that nobody calls.
	Find func(reflect.Type) (reflect.Method, bool)
	// Name is that name.
	Name string
	// Want is the signature, as a function type without the receiver.
	Want reflect.Type
}

// MethodCheck warns of types that have a method of an optional interface, but not its
// signature, or not the other methods of that interface. Go takes such a type for one that does
// not implement the interface, and then nobody calls the method. The reactor checks protocols,
// factories and descriptors. A package with optional interfaces of its own has a MethodCheck
// for them, one for each reactor ([Shared]).
//
// Each type costs one look, and what is wrong with it one record in the log of the reactor
// (DESC-45). A MethodCheck is for the loop's goroutine.
type MethodCheck struct {
	// Optional returns the methods. It is called for each type that is looked at.
	Optional func() []OptionalMethod

	last reflect.Type // the type that was checked last
	seen map[reflect.Type]struct{}
}

// maxCheckedTypes limits the memory. A program has fewer types.
const maxCheckedTypes = 1024

// Check looks at the type of v, unless it has done so before or nobody reads warnings.
func (c *MethodCheck) Check(r *Reactor, v any) {
	t := reflect.TypeOf(v)
	if t == c.last || !r.log.Enabled(context.Background(), slog.LevelWarn) {
		return
	}
	c.last = t
	if _, ok := c.seen[t]; ok || t == nil || len(c.seen) == maxCheckedTypes {
		return
	}
	if c.seen == nil {
		c.seen = make(map[reflect.Type]struct{})
	}
	c.seen[t] = struct{}{}
	for all := c.Optional(); len(all) > 0; {
		n := 1
		for n < len(all) && all[n].Interface == all[0].Interface {
			n++
		}
		warnIncomplete(r.log, t, all[:n])
		all = all[n:]
	}
}

// warnIncomplete warns if t has some of the methods of an interface by name, but not all with
// their signatures.
func warnIncomplete(log *slog.Logger, t reflect.Type, methods []OptionalMethod) {
	var found, bad []string
	for _, o := range methods {
		switch m, ok := o.Find(t); {
		case !ok:
			bad = append(bad, "lacks "+o.Name+signature(o.Want, 0))
		case !sameSignature(m.Type, o.Want):
			found = append(found, o.Name)
			bad = append(bad, "has "+o.Name+signature(m.Type, 1)+", not "+o.Name+signature(o.Want, 0))
		default:
			found = append(found, o.Name)
		}
	}
	if len(found) > 0 && len(bad) > 0 {
		log.Warn("methods that nobody calls: the type does not implement the interface",
			slog.String("type", t.String()), slog.String("interface", methods[0].Interface),
			slog.Any("methods", found), slog.Any("because", bad))
	}
}

// sameSignature tells whether method, whose first parameter is the receiver, is a want.
func sameSignature(method, want reflect.Type) bool {
	if method.NumIn() != want.NumIn()+1 || method.NumOut() != want.NumOut() || method.IsVariadic() != want.IsVariadic() {
		return false
	}
	for i := range want.NumIn() {
		if method.In(i+1) != want.In(i) {
			return false
		}
	}
	for i := range want.NumOut() {
		if method.Out(i) != want.Out(i) {
			return false
		}
	}
	return true
}

// signature is like "(error) bool" for a function of type t without its first skip parameters.
func signature(t reflect.Type, skip int) string {
	text := "("
	for i := skip; i < t.NumIn(); i++ {
		if i > skip {
			text += ", "
		}
		text += t.In(i).String()
	}
	text += ")"
	for i := range t.NumOut() {
		text += " " + t.Out(i).String()
	}
	return text
}

// optionals are the checks of a reactor.
type optionals struct {
	protocols, factories, descriptors, packets MethodCheck
}

func (o *optionals) init() {
	o.protocols.Optional = protocolMethods
	o.factories.Optional = factoryMethods
	o.descriptors.Optional = descriptorMethods
	o.packets.Optional = packetMethods
}

// protocol checks p and the protocols that it wraps.
func (o *optionals) protocol(r *Reactor, p Protocol) {
	for l := range layers(p) {
		o.protocols.Check(r, l)
	}
}

func protocolMethods() []OptionalMethod {
	nothing := reflect.TypeFor[func()]()
	return []OptionalMethod{
		{"reactor.HalfCloseListener", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("ReadConnectionLost") }, "ReadConnectionLost", nothing},
		{"reactor.HalfCloseListener", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("WriteConnectionLost") }, "WriteConnectionLost", nothing},
		{"reactor.InputKeeper", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("KeepsInput") }, "KeepsInput", reflect.TypeFor[func() bool]()},
		{"reactor.Drainer", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("Drain") }, "Drain", nothing},
		{"reactor.DescriptorReceiver", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("DescriptorReceived") }, "DescriptorReceived", reflect.TypeFor[func(int)]()},
		{"reactor.DescriptorLossListener", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("DescriptorsLost") }, "DescriptorsLost", reflect.TypeFor[func(int)]()},
		{"reactor.Layer", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("Above") }, "Above", reflect.TypeFor[func() Transport]()},
		logPrefixMethod(),
	}
}

func factoryMethods() []OptionalMethod {
	failing := reflect.TypeFor[func() error]()
	ended := reflect.TypeFor[func(*Connector, error)]()
	return []OptionalMethod{
		{"reactor.StartStopper", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("StartFactory") }, "StartFactory", failing},
		{"reactor.StartStopper", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("StopFactory") }, "StopFactory", failing},
		{"reactor.LoopListener", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("UsedOn") }, "UsedOn", reflect.TypeFor[func(*Reactor)]()},
		{"reactor.ConnectorListener", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("StartedConnecting") }, "StartedConnecting", reflect.TypeFor[func(*Connector)]()},
		{"reactor.ConnectorListener", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("ConnectionFailed") }, "ConnectionFailed", ended},
		{"reactor.ConnectorListener", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("ConnectionEnded") }, "ConnectionEnded", ended},
		logPrefixMethod(),
	}
}

func descriptorMethods() []OptionalMethod {
	return []OptionalMethod{
		{"reactor.HalfCloseDescriptor", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("ReadConnectionLost") }, "ReadConnectionLost", reflect.TypeFor[func(error)]()},
	}
}

func packetMethods() []OptionalMethod {
	about := reflect.TypeFor[func([]byte, kernel.Addr, error)]()
	return []OptionalMethod{
		{"reactor.PacketsReceiver", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("PacketsReceived") }, "PacketsReceived", reflect.TypeFor[func([]kernel.Packet)]()},
		{"reactor.DatagramRefusalListener", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("DatagramRefused") }, "DatagramRefused", about},
		{"reactor.SendFailureListener", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("SendFailed") }, "SendFailed", about},
		logPrefixMethod(),
	}
}

func logPrefixMethod() OptionalMethod {
	return OptionalMethod{"reactor.LogPrefixer", func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("LogPrefix") }, "LogPrefix", reflect.TypeFor[func() string]()}
}
