package reactor_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// typedEnd is a protocol whose type has arguments.
type typedEnd[T any] struct{ end }

// PROTO-5, DESC-36: the name of a type has neither its package nor its arguments. A type without a name is called by its kind.
func TestNamesOfTypes(t *testing.T) {
	for want, v := range map[string]any{
		"end": new(end), "typedEnd": new(typedEnd[kernel.Addr]), "service": service{}, "struct": &struct{ end }{},
		"func": func(kernel.Addr) reactor.Protocol { return nil }, "<nil>": nil,
	} {
		if got := reactor.LogPrefixOf(v); got != want {
			t.Errorf("PROTO-5, DESC-36: %T is called %q, want %q", v, got, want)
		}
	}
	if got := reactor.LogPrefixOf(new(typedEnd[map[string]typedEnd[int]])); got != "typedEnd" {
		t.Errorf("PROTO-5: %q", got)
	}
}

// anonymous has a LogPrefix that needs what ConnectionMade sets, which never comes to that.
type anonymous struct {
	end
	peer *kernel.Addr
}

func (a *anonymous) LogPrefix() string { return "client of " + a.peer.Name }

// the LogPrefix of a protocol that has panicked panics too. The first panic is told, with the name of the type, and the other connections go on.
func TestLogPrefixPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		log := new(journal)
		var told []string
		r := w.New(t, reactor.Config{Logger: slog.New(log), Panicked: func(e *reactor.PanicError) { told = append(told, e.In) }})
		var other, peer, cli end
		connect(t, r, &other, &peer)
		bad := new(anonymous)
		bad.onData = func([]byte) { panic("no head") }
		connect(t, r, bad, &cli)
		cli.s.Write([]byte("x"))
		peer.s.Write([]byte("y"))
		until(t, r, func() bool { return bad.err != nil && cli.err != nil && len(other.got) == 1 })
		if e, ok := errors.AsType[*reactor.PanicError](bad.err); !ok || e.Value != "no head" {
			t.Errorf("X-3: lost with %v", bad.err)
		}
		if len(told) != 1 || !strings.HasPrefix(told[0], "anonymous (panic in LogPrefix: ") || !strings.Contains(told[0], "nil pointer") || len(log.with("no head")) != 1 {
			t.Errorf("X-3: told %q, logged %q", told, log.lines)
		}
		if other.err != nil || peer.err != nil {
			t.Errorf("X-3: another connection was lost with %v and %v", other.err, peer.err)
		}
	})
}

// nameless is a factory whose LogPrefix panics.
type nameless struct{ service }

func (*nameless) LogPrefix() string { panic("no name") }

// a port whose factory cannot say its name listens all the same.
func TestLogPrefixOfFactoryPanics(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		p := listen(t, r, new(nameless), nil)
		if got := p.String(); !strings.HasPrefix(got, "<nameless (panic in LogPrefix: no name) on ") {
			t.Errorf("X-3: %s", got)
		}
	})
}
