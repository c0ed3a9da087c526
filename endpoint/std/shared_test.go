package std_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// An option of kernel.StreamOptions is an argument of every scheme, stands in the help
// text of each, and reaches the kernel: nothing else has to be changed for a new one.
func TestStreamOptionsAreArgumentsOfEveryScheme(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "localhost")
	listen := map[string][]string{"tcp": {"0"}, "tcp4": {"0"}, "tcp6": {"0"}, "tls": {"0", both}, "ssl": {"0", both}}
	connect := map[string][]string{
		"tcp": {"10.0.0.1", "80"}, "tcp4": {"10.0.0.1", "80"}, "tcp6": {"[fd00::1]", "80"},
		"tls": {"10.0.0.1", "443"}, "ssl": {"10.0.0.1", "443"},
	}
	var known [2][]string
	for i := range known {
		_, err := std.Schemes(nil).Server("")
		if i == 1 {
			_, err = std.Schemes(nil).Client("")
		}
		e, _ := errors.AsType[*endpoint.UnknownSchemeError](err)
		known[i] = e.Known
	}
	help := std.Schemes(nil).Help()
	options := reflect.TypeFor[kernel.StreamOptions]()
	for i := range options.NumField() {
		f := options.Field(i)
		name := f.Tag.Get("ep")
		if name == "" {
			t.Fatalf("%s is no argument", f.Name)
		}
		var want kernel.StreamOptions
		reflect.ValueOf(&want).Elem().Field(i).SetBool(true)
		given := endpoint.Argument{Name: name, Value: "yes"}
		for _, scheme := range known[0] {
			p := newPlan(t, nil, nil)
			e := server(t, describe(scheme, append(slices.Clone(listen[scheme]), name+"=yes")...))
			if _, err := e.Listen(p.Reactor, new(site)); err != nil || p.stream[0] != want || !slices.Contains(endpoint.Arguments(e), given) {
				t.Errorf("%v: %v, the kernel was asked for %+v", e, err, p.stream)
			}
		}
		for _, scheme := range known[1] {
			p := newPlan(t, nil, nil)
			e := client(t, describe(scheme, append(slices.Clone(connect[scheme]), name+"=yes")...))
			var got result
			e.Connect(p.Reactor, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil }), got.done)
			p.until(t, &got)
			if len(p.stream) != 1 || p.stream[0] != want || !slices.Contains(endpoint.Arguments(e), given) {
				t.Errorf("%v: the kernel was asked for %+v", e, p.stream)
			}
		}
		schemes := len(known[0]) + len(known[1])
		if a, b := strings.Count(help, "[:"+name+"=]"), strings.Count(help, "  "+f.Tag.Get("help")+"\n"); a != schemes || b != schemes {
			t.Errorf("%s stands in the grammar of %d schemes and in the help of %d; want %d", name, a, b, schemes)
		}
	}
}

// The buffers of connections are configured for a set, and every scheme hands that on: marks
// that contradict each other are refused by each.
func TestStreamConfigReachesEveryScheme(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "localhost")
	known := std.Schemes(&std.Options{StreamConfig: reactor.StreamConfig{HighWater: 1, LowWater: 2}})
	for _, description := range []string{
		describe("tcp", "0"), describe("tcp4", "0"), describe("tcp6", "0"),
		describe("tls", "0", both), describe("ssl", "0", both),
	} {
		e, err := known.Server(description)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Listen(newPlan(t, nil, nil).Reactor, new(site)); !errors.Is(err, reactor.ErrMarks) {
			t.Errorf("listening on %v: %v, want ErrMarks", e, err)
		}
	}
	for _, description := range []string{
		"tcp:10.0.0.1:80", "tcp4:10.0.0.1:80", "tcp6:[fd00::1]:80", "tls:10.0.0.1:443", "ssl:10.0.0.1:443",
	} {
		e, err := known.Client(description)
		if err != nil {
			t.Fatal(err)
		}
		p := newPlan(t, nil, nil)
		var got result
		e.Connect(p.Reactor, new(site), got.done)
		p.until(t, &got)
		if !errors.Is(got.err, reactor.ErrMarks) {
			t.Errorf("connecting to %v: %v, want ErrMarks", e, got.err)
		}
	}
}
