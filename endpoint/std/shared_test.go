package std_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

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
	help, _, _ := strings.Cut(std.Schemes(nil).Help(), "Places to receive datagrams")
	for _, f := range reflect.VisibleFields(reflect.TypeFor[kernel.StreamOptions]()) {
		if f.Name == "Control" || f.Name == "Descriptors" || f.Anonymous { // these are for no place of TCP
			continue
		}
		name, inverted := strings.CutPrefix(f.Tag.Get("ep"), "!")
		if name == "" {
			t.Fatalf("%s is no argument", f.Name)
		}
		want, given, more := valueOf(f, name, inverted)
		for _, scheme := range withTCP(known[0]) {
			p := newPlan(t, nil, nil)
			e := server(t, describe(scheme, append(slices.Clone(listen[scheme]), more...)...))
			if _, err := e.Listen(p.Reactor, new(site)); err != nil || !reflect.DeepEqual(p.stream[0], want) || !slices.Contains(endpoint.Arguments(e), given) {
				t.Errorf("%v: %v, the kernel was asked for %+v", e, err, p.stream)
			}
		}
		for _, scheme := range withTCP(known[1]) {
			p := newPlan(t, nil, nil)
			e := client(t, describe(scheme, append(slices.Clone(connect[scheme]), more...)...))
			var got result
			e.Connect(p.Reactor, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil }), got.done)
			p.until(t, &got)
			if len(p.stream) != 1 || !reflect.DeepEqual(p.stream[0], want) || !slices.Contains(endpoint.Arguments(e), given) {
				t.Errorf("%v: the kernel was asked for %+v", e, p.stream)
			}
		}
		schemes := len(withTCP(known[0])) + len(withTCP(known[1]))
		if name == "sndbuf" {
			schemes += 2 // UNIX sockets have it too
		}
		if a, b := strings.Count(help, "[:"+name+"=]"), strings.Count(help, "  "+f.Tag.Get("help")+"\n"); a != schemes || b != schemes {
			t.Errorf("%s stands in the grammar of %d schemes and in the help of %d; want %d", name, a, b, schemes)
		}
	}
}

// valueOf is a value of the option f that is not its default: as an option, as an argument, and
// what a description has for it.
func valueOf(f reflect.StructField, name string, inverted bool) (want kernel.StreamOptions, given endpoint.Argument, more []string) {
	v := reflect.ValueOf(&want).Elem().FieldByIndex(f.Index)
	given = endpoint.Argument{Name: name, Value: "7"}
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
		given.Value = "yes"
		if inverted {
			given.Value = "no"
		}
	case v.Type() == reflect.TypeFor[time.Duration]():
		v.SetInt(int64(7 * time.Second))
	default:
		v.SetInt(7)
	}
	more = []string{name + "=" + given.Value}
	if want.Probes != (kernel.Probes{}) {
		want.KeepAlive = true
		more = append(more, "keepalive=yes")
	}
	return want, given, more
}

// Control reaches the kernel from a set, for every scheme.
func TestControlReachesEveryScheme(t *testing.T) {
	calls := 0
	control := func(uintptr) error { calls++; return nil }
	known := std.Schemes(&std.Options{StreamOptions: kernel.StreamOptions{Control: control}})
	e, err := known.Server("tcp:0")
	if err != nil {
		t.Fatal(err)
	}
	p := newPlan(t, nil, nil)
	if _, err := e.Listen(p.Reactor, new(site)); err != nil || p.stream[0].Control == nil {
		t.Fatalf("listening: %v", err)
	}
	c, err := known.Client("tcp:10.0.0.1:80")
	if err != nil {
		t.Fatal(err)
	}
	q := newPlan(t, nil, nil)
	var got result
	c.Connect(q.Reactor, new(site), got.done)
	q.until(t, &got)
	if len(q.stream) != 1 || q.stream[0].Control == nil {
		t.Fatalf("connecting: %v", got.err)
	}
	if err := errors.Join(p.stream[0].Control(1), q.stream[0].Control(2)); err != nil || calls != 2 {
		t.Errorf("%d calls, %v", calls, err)
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

// TCP-91: an error about an option speaks of arguments, as the description does, and of no field of
// Go. Each option is given without the others, and with a value that it cannot have.
func TestOptionErrorsNameArguments(t *testing.T) {
	var fields, arguments []string
	for _, f := range reflect.VisibleFields(reflect.TypeFor[kernel.StreamOptions]()) {
		if name := f.Tag.Get("ep"); name != "" {
			fields, arguments = append(fields, f.Name), append(arguments, strings.TrimPrefix(name, "!"))
		}
	}
	refused := 0
	for _, argument := range arguments {
		for _, text := range []string{argument + "=5", argument + "=-5", "keepalive=yes:" + argument + "=-5"} {
			for _, place := range []string{"tcp:0:", "tcp:localhost:1:"} {
				var err error
				if place == "tcp:0:" {
					_, err = std.Schemes(nil).Server(place + text)
				} else {
					_, err = std.Schemes(nil).Client(place + text)
				}
				if err == nil {
					continue
				}
				refused++
				e, ok := errors.AsType[*endpoint.ArgumentError](err)
				if !ok || e.Argument != argument {
					t.Errorf("TCP-91: %s: %v, want an error about %s", text, err, argument)
				}
				for _, field := range fields {
					if strings.Contains(err.Error(), field) {
						t.Errorf("TCP-91: %s: %v: nobody wrote %s", text, err, field)
					}
				}
			}
		}
	}
	if refused < 2*(3+2*3) {
		t.Errorf("only %d descriptions are refused", refused)
	}
}

// withTCP are the schemes that have the options of TCP.
func withTCP(schemes []string) []string {
	return slices.DeleteFunc(slices.Clone(schemes), func(s string) bool {
		return slices.Contains([]string{"exec", "fd", "haproxy", "serial", "stdio", "systemd", "unix"}, s)
	})
}
