package endpoint_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// all is a scheme with a field of every kind. It can be listened on in name
// only.
type all struct {
	_ struct{} `help:"Everything at once."`

	Path    string        `ep:"path,0" help:"some text"`
	Port    uint16        `ep:"port,1"`
	Mode    fs.FileMode   `ep:"mode,2,optional" help:"octal"`
	Wait    time.Duration `ep:"wait"`
	On      bool          `ep:"on"`
	N       int           `ep:"n" help:"how many"`
	Small   int8          `ep:"small"`
	Big     uint64        `ep:"big"`
	IP      netip.Addr    `ep:"ip"`
	Host    endpoint.Host `ep:"host"`
	Private func()        // no argument
}

func (e *all) Listen(reactor.Loops, reactor.Factory) (endpoint.Listener, error) {
	return nil, errors.New("in name only")
}

func (e *all) String() string { return endpoint.Describe("all", e) }

func (e *all) Check() error {
	if e.N < 0 {
		return errors.New("fewer than none")
	}
	return nil
}

func withAll() *endpoint.Schemes {
	s := std.Schemes(nil)
	s.AddServer("all", newAll)
	return s
}

func newAll() endpoint.Server { return &all{N: 3} }

// GRAM-9: a scheme of one's own is found by its name and gets its arguments, by
// position or keyword.
func TestOwnScheme(t *testing.T) {
	for _, c := range []struct {
		in   string
		want func(*all)
	}{
		{"all:/tmp:1", func(e *all) {}},
		{"all:port=1:path=/tmp", func(e *all) {}},
		{"all:port=1:/tmp", func(e *all) {}}, // by position means the first place, wherever it stands
		{"all:/tmp:1:660", func(e *all) { e.Mode = 0o660 }},
		{"all:/tmp:1:mode=07", func(e *all) { e.Mode = 7 }},
		{"all:/tmp:1:wait=30", func(e *all) { e.Wait = 30 * time.Second }},
		{"all:/tmp:1:wait=0.3", func(e *all) { e.Wait = 300 * time.Millisecond }},
		{"all:/tmp:1:wait=-1", func(e *all) { e.Wait = -time.Second }},
		{"all:/tmp:1:wait=1m30s", func(e *all) { e.Wait = 90 * time.Second }},
		{"all:/tmp:1:wait=1ns", func(e *all) { e.Wait = 1 }},
		{"all:/tmp:1:n=-0", func(e *all) { e.N = 0 }},
		{"all:/tmp:1:small=-128", func(e *all) { e.Small = -128 }},
		{"all:/tmp:1:big=18446744073709551615", func(e *all) { e.Big = math.MaxUint64 }},
		{"all:/tmp:http", func(e *all) { e.Port = 80 }}, // GRAM-8: the name of a service
		{"all:/tmp:1:ip=", func(e *all) {}},
		{"all:/tmp:1:ip=[fe80::1%eth0]", func(e *all) { e.IP = netip.MustParseAddr("fe80::1%eth0") }},
		{`all:/tmp:1:ip=fe80\:\:1`, func(e *all) { e.IP = netip.MustParseAddr("fe80::1") }},
		{`all:/tmp:1:ip=\[fe80\:\:1]`, func(e *all) { e.IP = netip.MustParseAddr("fe80::1") }},
		{"all:/tmp:1:host=a_b.example.", func(e *all) { e.Host = "a_b.example." }},
		{"all:/tmp:1:host=[::1]", func(e *all) { e.Host = "::1" }},
		{"all:/tmp:1:n=4:n=5", func(e *all) { e.N = 5 }}, // GRAM-3: the last counts
		{"all:/tmp:1:n=x:n=5", func(e *all) { e.N = 5 }}, // GRAM-3
		{"all::1", func(e *all) { e.Path = "" }},         // GRAM-3: an empty field is an empty string
		{"all:path=:1:1", nil},
	} {
		got, err := withAll().Server(c.in)
		if c.want == nil {
			if !errors.Is(err, endpoint.ErrArgument) {
				t.Errorf("%q: %v, %v", c.in, got, err)
			}
			continue
		}
		want := all{Path: "/tmp", Port: 1, N: 3}
		c.want(&want)
		if err != nil || fmt.Sprintf("%+v", *got.(*all)) != fmt.Sprintf("%+v", want) {
			t.Errorf("%q: %+v, %v; want %+v", c.in, got, err, want)
			continue
		}
		again, err := withAll().Server(got.String())
		if want.N == 0 {
			continue // the default is not zero, so zero cannot be described
		}
		if err != nil || fmt.Sprintf("%+v", *again.(*all)) != fmt.Sprintf("%+v", want) {
			t.Errorf("%q describes itself as %q: %+v, %v", c.in, got, again, err)
		}
	}
	for text, want := range map[string]bool{"yes": true, "TRUE": true, "1": true, "no": false, "false": false, "0": false} {
		got, err := withAll().Server("all:/tmp:1:on=" + text)
		if err != nil || got.(*all).On != want {
			t.Errorf("on=%s: %+v, %v", text, got, err)
		}
	}
}

// GRAM-7, GRAM-8: what is wrong with the arguments is known at the parse, and
// said: which argument, which value, and what would have been right. TCP-29: so is a service that
// nobody knows.
func TestArgumentErrors(t *testing.T) {
	const known = "path, port, mode, wait, on, n, small, big, ip, host"
	for _, c := range []struct{ in, argument, value, text string }{
		{"all:/tmp", "port", "", "endpoint all: port: missing: it is required"},
		{"all", "path", "", "endpoint all: path: missing: it is required"},
		{"ALL:/tmp:1:7:8", "", "8", `endpoint all: surplus argument "8"; by position it takes path, port, mode`},
		// An IPv6 address without brackets is in pieces, which are arguments by position.
		{"all:/tmp:1:host=::1", "", "1", `endpoint all: surplus argument "1"; by position it takes path, port, mode; an IPv6 address must stand in brackets, as in [::1]`},
		{"all:/tmp:1:mode=::1", "mode", "", `endpoint all: mode: given by position and by keyword, "" and ""; an IPv6 address must stand in brackets, as in [::1]`},
		{"all:fe80::1:80:", "", "80", `endpoint all: surplus argument "80"; by position it takes path, port, mode; an IPv6 address must stand in brackets, as in [::1]`},
		{"all:/tmp:1:maat=1", "maat", "1", `endpoint all: maat: no such argument (value "1"); it takes ` + known},
		{"all:/tmp:1:mdoe=1", "mdoe", "1", `endpoint all: mdoe: no such argument (value "1"); did you mean "mode"?; it takes ` + known},
		{"all:/tmp:1:Wait=1", "Wait", "1", `endpoint all: Wait: no such argument (value "1"); did you mean "wait"?; it takes ` + known},
		// GRAM-3: by position and by keyword is an error, in either order.
		{"all:/tmp:1:port=2", "port", "2", `endpoint all: port: given by position and by keyword, "1" and "2"`},
		{"all:port=2:/tmp:1", "port", "1", `endpoint all: port: given by position and by keyword, "2" and "1"`},
		// GRAM-8: ports are checked.
		{"all:/tmp:65536", "port", "65536", `endpoint all: port: "65536" is out of range 0..65535`},
		{"all:/tmp:-1", "port", "-1", `endpoint all: port: "-1" is out of range 0..65535`},
		{"all:/tmp:99999999999999999999", "port", "99999999999999999999", `endpoint all: port: "99999999999999999999" is out of range 0..65535`},
		{"all:/tmp:", "port", "", `endpoint all: port: "" is neither a port number nor a name: unknown service`},
		{"all:/tmp:80x", "port", "80x", `endpoint all: port: "80x" is neither a port number nor a name: unknown service`},
		{"all:/tmp:1:n=", "n", "", `endpoint all: n: "" is not a number`},
		{"all:/tmp:1:n=0x1", "n", "0x1", `endpoint all: n: "0x1" is not a number`},
		{"all:/tmp:1:small=128", "small", "128", `endpoint all: small: "128" is out of range -128..127`},
		{"all:/tmp:1:big=-1", "big", "-1", `endpoint all: big: "-1" is not a number of 0 or more`},
		{"all:/tmp:1:big=18446744073709551616", "big", "18446744073709551616", `endpoint all: big: "18446744073709551616" is out of range 0..18446744073709551615`},
		{"all:/tmp:1:mode=8", "mode", "8", `endpoint all: mode: "8" is not an octal number`},
		{"all:/tmp:1:mode=1000", "mode", "1000", `endpoint all: mode: "1000" is out of range 1..777`},
		{"all:/tmp:1:on=maybe", "on", "maybe", `endpoint all: on: "maybe" is not yes, no, true, false, 1 or 0`},
		{"all:/tmp:1:on=", "on", "", `endpoint all: on: "" is not yes, no, true, false, 1 or 0`}, // GRAM-3
		{"all:/tmp:1:wait=soon", "wait", "soon", `endpoint all: wait: "soon" is neither a number of seconds nor a duration such as 1m30s`},
		{"all:/tmp:1:wait=", "wait", "", `endpoint all: wait: "" is neither a number of seconds nor a duration such as 1m30s`},
		{"all:/tmp:1:wait=1e300", "wait", "1e300", `endpoint all: wait: "1e300" is neither a number of seconds nor a duration such as 1m30s`},
		{"all:/tmp:1:wait=9999999999999", "wait", "9999999999999", `endpoint all: wait: 9999999999999 seconds are more than the longest duration, of 292 years`},
		{"all:/tmp:1:ip=localhost", "ip", "localhost", `endpoint all: ip: "localhost" is not an IP address`},
		{"all:/tmp:1:n=-2", "", "", "endpoint all: fewer than none"}, // a Checker's error
	} {
		got, err := withAll().Server(c.in)
		e, ok := errors.AsType[*endpoint.ArgumentError](err)
		if !ok || !errors.Is(err, endpoint.ErrArgument) {
			t.Errorf("%q: %v, %v; want an ArgumentError", c.in, got, err)
			continue
		}
		if e.Scheme != "all" || e.Argument != c.argument || e.Value != c.value || e.Error() != c.text {
			t.Errorf("%q: %+v\n got %v\nwant %s", c.in, *e, e, c.text)
		}
		if unknown := strings.Contains(c.text, "unknown service"); errors.Is(err, reactor.ErrUnknownService) != unknown {
			t.Errorf("%q: is ErrUnknownService: %v", c.in, !unknown)
		}
	}
}

// HOST-1: an invalid name is refused.
func TestHostErrors(t *testing.T) {
	for host, reason := range map[string]string{
		"":                              "it is empty",
		".":                             "it is empty",
		"a..b":                          "the parts between its dots must have 1 to 63 characters",
		strings.Repeat("a", 64):         "the parts between its dots must have 1 to 63 characters",
		strings.Repeat("a.", 127) + "a": "it is longer than 253 characters",
		"a b":                           "' ' cannot stand in it",
		"a\x7f":                         `'\x7f' cannot stand in it`,
		"[a":                            "'[' cannot stand in it",
		"::1::":                         "':' cannot stand in it",
		"[localhost]":                   "'[' cannot stand in it",
	} {
		want := fmt.Sprintf("endpoint tcp: host: %q is not a host name: %s", host, reason)
		_, err := std.Schemes(nil).Client("tcp:" + endpoint.Quote(host) + ":80")
		if err == nil || err.Error() != want || !errors.Is(err, endpoint.ErrArgument) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// GRAM-6: an unknown or empty type is an error that names it, and what is known.
func TestUnknownScheme(t *testing.T) {
	for _, c := range []struct {
		in     string
		client bool
		text   string
	}{
		{"gopher:70", false, `unknown endpoint type "gopher"; known for listening: fd, haproxy, serial, ssl, stdio, systemd, tcp, tcp4, tcp6, tls, unix; for receiving datagrams: fd, systemd, udp, udp4, udp6, unixgram`},
		{"", false, `unknown endpoint type ""; known for listening: fd, haproxy, serial, ssl, stdio, systemd, tcp, tcp4, tcp6, tls, unix; for receiving datagrams: fd, systemd, udp, udp4, udp6, unixgram`},
		{":80", true, `unknown endpoint type ""; known for connecting: exec, fd, haproxy, serial, ssl, tcp, tcp4, tcp6, tls, unix; for sending datagrams: fd, udp, udp4, udp6, unixgram`},
		{"tpc:80", true, `unknown endpoint type "tpc"; did you mean "tcp"?; known for connecting: exec, fd, haproxy, serial, ssl, tcp, tcp4, tcp6, tls, unix; for sending datagrams: fd, udp, udp4, udp6, unixgram`},
		{"TCP5:80", false, `unknown endpoint type "TCP5"; did you mean "tcp"?; known for listening: fd, haproxy, serial, ssl, stdio, systemd, tcp, tcp4, tcp6, tls, unix; for receiving datagrams: fd, systemd, udp, udp4, udp6, unixgram`},
	} {
		_, err := std.Schemes(nil).Server(c.in)
		if c.client {
			_, err = std.Schemes(nil).Client(c.in)
		}
		e, ok := errors.AsType[*endpoint.UnknownSchemeError](err)
		if !ok || !errors.Is(err, endpoint.ErrUnknownScheme) {
			t.Errorf("%q: %v; want an UnknownSchemeError", c.in, err)
			continue
		}
		scheme, _, _ := strings.Cut(c.in, ":")
		known := map[bool][]string{
			false: {"fd", "haproxy", "serial", "ssl", "stdio", "systemd", "tcp", "tcp4", "tcp6", "tls", "unix"}, true: {"exec", "fd", "haproxy", "serial", "ssl", "tcp", "tcp4", "tcp6", "tls", "unix"},
		}
		if e.Scheme != scheme || e.Client != c.client || !slices.Equal(e.Known, known[c.client]) || e.Error() != c.text {
			t.Errorf("%q: %+v\n got %v\nwant %s", c.in, *e, e, c.text)
		}
	}
	if _, err := std.Schemes(nil).Server(`tcp:80\`); !errors.Is(err, endpoint.ErrSyntax) {
		t.Errorf("Server: %v", err)
	}
	if _, err := std.Schemes(nil).Client(`tcp:80\`); !errors.Is(err, endpoint.ErrSyntax) {
		t.Errorf("Client: %v", err)
	}
	if _, err := new(endpoint.Schemes).Server("tcp:80"); !errors.Is(err, endpoint.ErrUnknownScheme) {
		t.Errorf("the zero Schemes: %v", err)
	}
}

// GRAM-5: upper and lower case of the type do not matter, on either side, nor for
// a scheme of one's own.
func TestSchemeCaseGRAM5(t *testing.T) {
	s := withAll()
	s.AddServer("Odd", func() endpoint.Server { return &all{N: 1} })
	for _, in := range []string{"TCP:80", "Tcp6:80", "ALL:/tmp:1", "odd:a:1", "ODD:a:1", "Odd:a:1"} {
		if _, err := s.Server(in); err != nil {
			t.Errorf("Server %q: %v", in, err)
		}
	}
	if _, err := s.Client("TCP:a.example:80"); err != nil {
		t.Error(err)
	}
	s.AddServer("ODD", func() endpoint.Server { return &all{N: 2} })
	if e, err := s.Server("Odd:a:1"); err != nil || e.(*all).N != 1 {
		t.Errorf("the exact name does not come first: %v, %v", e, err)
	}
}

// GRAM-9: the registry is a value; changing one changes no other.
func TestStdIsFresh(t *testing.T) {
	s := std.Schemes(nil)
	s.AddServer("tcp", newAll)
	s.AddClient("tcp", func() endpoint.Client { return &std.TCPClient{Family: reactor.IPv6} })
	if e, err := s.Server("tcp:80:1"); err != nil || e.String() != "all:80:1:n=3" {
		t.Errorf("the new type does not take the place of the old: %v, %v", e, err)
	}
	if e, err := std.Schemes(nil).Server("tcp:80"); err != nil || e.String() != "tcp:80" {
		t.Error(e, err)
	}
	if e, err := std.Schemes(nil).Client("tcp:a:80"); err != nil || e.String() != "tcp:a:80" {
		t.Error(e, err)
	}
}

// GRAM-9: a copy of a Schemes is another one. What is added to one of them the other does not know.
func TestCopyOfSchemes(t *testing.T) {
	s := std.Schemes(nil)
	mine := *s
	mine.AddServer("mine", newAll)
	s.AddClient("other", func() endpoint.Client { return new(std.TCPClient) })
	_, err1 := mine.Server("mine:80:1")
	_, err2 := mine.Client("tcp:a:80")
	_, err3 := s.Client("other:a:80")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Error(err)
	}
	_, err1 = s.Server("mine:80:1")
	_, err2 = mine.Client("other:a:80")
	if !errors.Is(err1, endpoint.ErrUnknownScheme) || !errors.Is(err2, endpoint.ErrUnknownScheme) {
		t.Errorf("GRAM-9: the original says %v, the copy %v", err1, err2)
	}
}

// The help text is made from the structs.
func TestHelp(t *testing.T) {
	var s endpoint.Schemes
	s.AddServer("all", newAll)
	s.AddClient("tcp4", func() endpoint.Client { return &std.TCPClient{Family: reactor.IPv4} })
	want := `Places to listen:

  all:path:port[:mode][:wait=][:on=][:n=][:small=][:big=][:ip=][:host=]
      Everything at once.
      path   some text
      port
      mode   octal
      wait
      on
      n      how many (default 3)
      small
      big
      ip
      host

Places to connect to:

  tcp4:host:port[:timeout=][:bindAddress=][:attemptDelay=][:nodelay=][:keepalive=][:keepidle=][:keepinterval=][:keepcount=][:usertimeout=][:sndbuf=][:rcvbuf=]
`
	got := s.Help()
	if !strings.HasPrefix(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	std := std.Schemes(nil).Help()
	for _, line := range []string{
		"\n  tcp:port[:interface[:backlog]][:nodelay=][:keepalive=][:keepidle=][:keepinterval=][:keepcount=][:usertimeout=][:sndbuf=][:rcvbuf=][:reuseport=][:maxconnections=][:refuseexcess=][:maxperpeer=][:acceptrate=][:acceptburst=]\n",  // GRAM-10
		"\n  tcp6:port[:backlog[:interface]][:nodelay=][:keepalive=][:keepidle=][:keepinterval=][:keepcount=][:usertimeout=][:sndbuf=][:rcvbuf=][:reuseport=][:maxconnections=][:refuseexcess=][:maxperpeer=][:acceptrate=][:acceptburst=]\n", // GRAM-11
		"\n      port            port number or service name; 0 takes a free one\n",
	} {
		if !strings.Contains(std, line) {
			t.Errorf("no %q in\n%s", line, std)
		}
	}
}

// inName has the methods of a Server and no arguments.
type inName struct{}

func (inName) String() string { return "" }
func (inName) Listen(reactor.Loops, reactor.Factory) (endpoint.Listener, error) {
	return nil, errors.New("in name only")
}

type badTag[T any] struct {
	inName
	A T `ep:"a,0"`
}

// A struct that makes no sense is a mistake in the program, and says which.
func TestBadStructsPanic(t *testing.T) {
	type twice struct {
		inName
		A int `ep:"a"`
		B int `ep:"a"`
	}
	type place struct {
		inName
		A int `ep:"a,0"`
		B int `ep:"b,0"`
	}
	type gap struct {
		inName
		A int `ep:"a,1"`
	}
	type late struct {
		inName
		A int `ep:"a,0,optional"`
		B int `ep:"b,1"`
	}
	type option struct {
		inName
		A int `ep:"a,0,maybe"`
	}
	type number struct {
		inName
		A int `ep:"a,first"`
	}
	type nameless struct {
		inName
		A int `ep:",0"`
	}
	type hidden struct {
		inName
		a int `ep:"a"`
	}
	type turned struct {
		inName
		A int `ep:"!a"`
	}
	// Embedded structs.
	type again struct {
		inName
		kernel.StreamOptions
		Other bool `ep:"nodelay"`
	}
	type unknown struct {
		inName
		kernel.StreamOptions `ep:"nodelai"`
	}
	type strange struct {
		inName
		kernel.StreamOptions `ep:"nodelay,0,maybe"`
	}
	for want, e := range map[string]endpoint.Server{
		`again: two arguments "nodelay": StreamOptions.Nagle and Other`:                     &again{},
		`unknown: "nodelai" is not the place of an argument of the embedded struct`:         &unknown{},
		`strange: "nodelay,0,maybe" is not the place of an argument of the embedded struct`: &strange{},
		"two arguments \"a\"":                        &twice{},
		"two arguments at position 0":                &place{},
		"no argument at position 0":                  &gap{},
		`field A int cannot be the argument "!a"`:    &turned{},
		"\"b\" must not follow an optional argument": &late{},
		`the argument "a,0,maybe"`:                   &option{},
		`the argument "a,first"`:                     &number{},
		`the argument ",0"`:                          &nameless{},
		`field a int cannot be the argument "a"`:     &hidden{a: 1},
		`field A []string cannot be`:                 &badTag[[]string]{},
		`field A float64 cannot be`:                  &badTag[float64]{},
	} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), want) {
					t.Errorf("panic %v; want one that says %s", v, want)
				}
			}()
			new(endpoint.Schemes).AddServer("x", func() endpoint.Server { return e })
			t.Errorf("%T is taken", e)
		}()
	}
}

// local and shared are embedded by nested: the arguments of an embedded struct are
// those of the struct around it, at the places that its tag says.
type local struct {
	Port  uint16 `ep:"port,0" help:"port number"`
	Queue int    `ep:"queue,1,optional" help:"how many may wait"`
	shared
}

type shared struct {
	_     struct{} `help:"not the summary of a scheme"`
	Quick bool     `ep:"quick" help:"at once"`
	Plain int      // no argument
	Probe bool     `ep:"probe,2,optional" help:"probe an idle peer"`
}

type nested struct {
	inName
	_     struct{} `help:"Embeds."`
	First string   `ep:"first,1,optional" help:"before"`
	local `ep:"queue probe,2,optional"`
	Last  string `ep:"last" help:"after"`
}

func (e *nested) String() string { return endpoint.Describe("nested", e) }

// Arguments of embedded structs stand where the struct does, in descriptions and in
// the help text.
func TestEmbeddedArguments(t *testing.T) {
	var s endpoint.Schemes
	s.AddServer("nested", func() endpoint.Server { return &nested{local: local{shared: shared{Quick: true}}} })
	for in, want := range map[string]nested{
		"nested:1":             {local: local{Port: 1, shared: shared{Quick: true}}},
		"nested:1:a:yes":       {First: "a", local: local{Port: 1, shared: shared{Quick: true, Probe: true}}},
		"nested:port=1:last=z": {Last: "z", local: local{Port: 1, shared: shared{Quick: true}}},
		"nested:1:queue=3:quick=no:probe=1:first=b": {First: "b", local: local{Port: 1, Queue: 3, shared: shared{Probe: true}}},
	} {
		e, err := s.Server(in)
		if err != nil || *e.(*nested) != want {
			t.Errorf("%s: %+v, %v; want %+v", in, e, err, want)
		}
	}
	e, err := s.Server("nested:1:last=z:probe=1:queue=3:first=b")
	if want := "nested:1:first=b:probe=yes:queue=3:quick=yes:last=z"; err != nil || e.String() != want {
		t.Errorf("it describes itself as %v, %v; want %s", e, err, want)
	}
	const want = `Places to listen:

  nested:port[:first[:probe]][:queue=][:quick=][:last=]
      Embeds.
      port   port number
      first  before
      probe  probe an idle peer
      queue  how many may wait
      quick  at once (default yes)
      last   after

Places to connect to:
`
	if got := s.Help(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

// byValue is a Server that is not a pointer to a struct.
type byValue struct{ *all }

func TestSchemeMustBePointer(t *testing.T) {
	defer func() {
		if v := recover(); !strings.Contains(fmt.Sprint(v), "a scheme is a pointer to a struct, not endpoint_test.byValue") {
			t.Errorf("panic %v", v)
		}
	}()
	new(endpoint.Schemes).AddServer("x", func() endpoint.Server { return byValue{} })
	t.Error("taken")
}

// Places to connect to are looked at when they are added, as those to listen are.
func TestBadClientPanics(t *testing.T) {
	type twice struct {
		std.TCPClient
		Quick bool `ep:"nodelay"`
	}
	defer func() {
		want := `two arguments "nodelay": TCPClient.StreamOptions.Nagle and Quick`
		if v := recover(); !strings.Contains(fmt.Sprint(v), want) {
			t.Errorf("panic %v; want %s", v, want)
		}
	}()
	new(endpoint.Schemes).AddClient("x", func() endpoint.Client { return &twice{} })
	t.Error("taken")
}

// many has a list.
type many struct {
	First string   `ep:"first,0"`
	Each  []string `ep:"each" help:"one of them"`
}

func (e *many) Listen(reactor.Loops, reactor.Factory) (endpoint.Listener, error) {
	return nil, errors.New("in name only")
}

func (e *many) String() string { return endpoint.Describe("many", e) }

// GRAM-3: the argument of a list may be given several times, in the place of the default, and describes itself so.
func TestSchemesList(t *testing.T) {
	s := new(endpoint.Schemes)
	s.AddServer("many", func() endpoint.Server { return &many{Each: []string{"default"}} })
	for description, want := range map[string][]string{
		`many:a`:                   {"default"},
		`many:a:each=`:             {""},
		`many:a:each=b c:each=d=e`: {"b c", "d=e"},
		`many:each=x\:y:first=a`:   {"x:y"},
	} {
		e, err := s.Server(description)
		if err != nil {
			t.Errorf("%s: %v", description, err)
			continue
		}
		if got := e.(*many); got.First != "a" || !slices.Equal(got.Each, want) {
			t.Errorf("GRAM-3: %s: %+v, want %q", description, got, want)
		}
		again, err := s.Server(e.String())
		if err != nil || again.String() != e.String() || !slices.Equal(again.(*many).Each, want) {
			t.Errorf("%s: %v, %v", e, again, err)
		}
	}
	if text := s.Help(); !strings.Contains(text, "many:first[:each=]...\n") || !strings.Contains(text, "(default default)") {
		t.Errorf("help:\n%s", text)
	}
	defer func() {
		if recover() == nil {
			t.Error("a list with a position is taken")
		}
	}()
	s.AddServer("bad", func() endpoint.Server {
		return &struct {
			many `ep:"each,1,optional"`
		}{}
	})
}
