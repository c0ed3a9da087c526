package reactor

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
)

// LogPrefixer is implemented by a Protocol, a Factory, a FileDescriptor or anything else with callbacks that chooses its own name in logs.
// The default is the name of its type, without the package (PROTO-5). LogPrefix may be called before ConnectionMade and after
// ConnectionLost.
type LogPrefixer interface{ LogPrefix() string }

// LogPrefixOf returns the name of v in logs: the LogPrefix of a [LogPrefixer], otherwise
// the name of v's type without the package and without type arguments. A LogPrefixer that a Protocol or Factory wraps
// counts too. If LogPrefix panics, the name is that of the type, with the panic.
func LogPrefixOf(v any) string {
	var l LogPrefixer
	switch v := v.(type) {
	case Protocol:
		l, _ = ProtocolAs[LogPrefixer](v)
	case Factory:
		l, _ = FactoryAs[LogPrefixer](v)
	case PacketProtocol:
		l, _ = PacketProtocolAs[LogPrefixer](v)
	case FileDescriptor: // a wrapper of one returns a FileDescriptor, and that of anything else an any
		l, _ = kernel.Walk[LogPrefixer](v)
	default:
		l, _ = kernel.Walk[LogPrefixer](v)
	}
	if l == nil {
		return typeName(v)
	}
	var name string
	// Mostly a name is wanted because something has panicked already. This panic must not get past the place that reports that one.
	if e := pool.Catch(func() { name = l.LogPrefix() }); e != nil {
		name = fmt.Sprintf("%s (panic in LogPrefix: %v)", typeName(l), e.Value)
	}
	return name
}

// typeName is the name of v's type, without package and type arguments. A type without a name is called by its kind.
func typeName(v any) string {
	t := reflect.TypeOf(v)
	if t == nil {
		return "<nil>"
	}
	for t.Name() == "" && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Name() == "" {
		return t.Kind().String()
	}
	name, _, _ := strings.Cut(t.Name(), "[")
	return name
}
