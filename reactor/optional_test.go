package reactor_test

import (
	"context"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// wrongRead has the name of an optional method, and another signature.
type wrongRead struct{ end }

func (*wrongRead) ReadConnectionLost(error) {}
func (*wrongRead) WriteConnectionLost()     {}

// halfHalf has one of the two methods of a HalfCloseListener.
type halfHalf struct{ end }

func (*halfHalf) ReadConnectionLost() {}

// wrongDrain takes an argument.
type wrongDrain struct{ end }

func (*wrongDrain) Drain(context.Context) {}

type wrongKeeper struct{ end }

func (*wrongKeeper) KeepsInput() int { return 0 }

// wrongLayer is behind a wrapper.
type wrongLayer struct{ end }

func (*wrongLayer) Above() *reactor.Stream { return nil }

type around struct{ *wrongLayer }

func (w around) Unwrap() reactor.Protocol { return w.wrongLayer }

// wrongFactory makes protocols of one kind.
type wrongFactory struct{ build func() reactor.Protocol }

func (f *wrongFactory) BuildProtocol(kernel.Addr) reactor.Protocol      { return f.build() }
func (*wrongFactory) StartFactory()                                     {}
func (*wrongFactory) StopFactory() error                                { return nil }
func (*wrongFactory) ConnectionFailed(*reactor.Connector, error)        {}
func (*wrongFactory) ConnectionEnded(*reactor.Connector, string, error) {}

// DESC-45: a method of an optional interface with another signature, or without the others, is
// told once for each type, with the signature that there should be. Right types are not.
func TestOptionalMethods(t *testing.T) {
	for _, c := range []struct {
		build func() reactor.Protocol
		typ   string
		want  []string // of the record; empty: none
	}{
		{func() reactor.Protocol { return new(end) }, "", nil},
		{func() reactor.Protocol { return new(halfEnd) }, "", nil},
		{func() reactor.Protocol { return new(wrongRead) }, "*reactor_test.wrongRead",
			[]string{"reactor.HalfCloseListener", "has ReadConnectionLost(error), not ReadConnectionLost()"}},
		{func() reactor.Protocol { return new(halfHalf) }, "*reactor_test.halfHalf",
			[]string{"reactor.HalfCloseListener", "lacks WriteConnectionLost()"}},
		{func() reactor.Protocol { return new(wrongDrain) }, "*reactor_test.wrongDrain",
			[]string{"reactor.Drainer", "has Drain(context.Context), not Drain()"}},
		{func() reactor.Protocol { return new(wrongKeeper) }, "*reactor_test.wrongKeeper",
			[]string{"reactor.InputKeeper", "has KeepsInput() int, not KeepsInput() bool"}},
		{func() reactor.Protocol { return around{new(wrongLayer)} }, "*reactor_test.wrongLayer",
			[]string{"reactor.Layer", "has Above() *reactor.Stream, not Above() reactor.Transport"}},
	} {
		worlds(t, func(t *testing.T, w testworld.World) {
			var log journal
			r := w.New(t, reactor.Config{Logger: slog.New(&log)})
			port := listen(t, r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return c.build() }), nil)
			for range 3 {
				cli := new(end)
				r.Dial(port.Addr(), one(cli), nil, nil)
				until(t, r, func() bool { return cli.s != nil })
				cli.s.Abort()
			}
			until(t, r, func() bool { return port.Stats().Accepted == 3 })
			got := log.with("WARN", "type="+c.typ)
			if len(c.want) == 0 {
				if len(got) != 0 {
					t.Errorf("DESC-45: %q about %T", got, c.build())
				}
				return
			}
			told := 1 + strings.Count(c.typ, "wrongLayer") // around has its method too
			if got = log.with(append(c.want, "WARN", "type=")...); len(got) != told || len(log.with(append(c.want, "type="+c.typ)...)) != 1 {
				t.Errorf("DESC-45: %d records about %s: %q", len(got), c.typ, log.lines)
			}
		})
	}
}

// DESC-45: the same for factories, which ports and connectors use.
func TestOptionalFactoryMethods(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		var log journal
		r := w.New(t, reactor.Config{Logger: slog.New(&log)})
		port := listen(t, r, &wrongFactory{func() reactor.Protocol { return new(end) }}, nil)
		for range 2 {
			cli := new(end)
			r.Dial(port.Addr(), &wrongFactory{func() reactor.Protocol { return cli }}, nil, nil)
			until(t, r, func() bool { return cli.s != nil })
		}
		for _, want := range [][]string{
			{"reactor.StartStopper", "has StartFactory(), not StartFactory() error"},
			{"reactor.ConnectorListener", "lacks StartedConnecting(*reactor.Connector)",
				"has ConnectionEnded(*reactor.Connector, string, error), not ConnectionEnded(*reactor.Connector, error)"},
		} {
			if n := len(log.with(append(want, "WARN", "*reactor_test.wrongFactory")...)); n != 1 {
				t.Errorf("DESC-45: %d records with %q: %q", n, want, log.lines)
			}
		}
	})
}

// errorsOnly is a Handler that wants errors only.
type errorsOnly struct{ journal }

func (*errorsOnly) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelError }

// DESC-45: looking again costs no allocation and calls nothing, and without a log that wants
// warnings nothing is looked at.
func TestMethodCheckCost(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		looks := 0
		check := reactor.MethodCheck{Optional: func() []reactor.OptionalMethod {
			looks++
			return []reactor.OptionalMethod{{Interface: "a", Name: "ReadConnectionLost", Want: reflect.TypeFor[func()](),
				Find: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("ReadConnectionLost") }}}
		}}
		loud := w.New(t, reactor.Config{Logger: slog.New(new(journal))})
		a, b := new(end), new(wrongRead)
		if n := testing.AllocsPerRun(100, func() { check.Check(loud, a); check.Check(loud, b); check.Check(loud, b) }); n != 0 || looks != 2 {
			t.Errorf("DESC-45: %v allocations, %d looks at two types", n, looks)
		}
		check.Check(loud, nil)
		check.Check(w.New(t, reactor.Config{Logger: slog.New(new(errorsOnly))}), new(halfHalf))
		check.Check(w.New(t, reactor.Config{}), new(halfEnd))
		if looks != 2 {
			t.Errorf("DESC-45: %d looks", looks)
		}
	})
}
