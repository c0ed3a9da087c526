package endpoint_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/quick"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
)

type args = []endpoint.Argument

func TestParse(t *testing.T) {
	for _, c := range []struct {
		in   string
		want endpoint.Description
	}{
		{"tcp:80", endpoint.Description{Scheme: "tcp", Args: args{{"", "80"}}}},
		// GRAM-1: colons separate; a backslash makes the next character literal.
		{`unix:a\:b`, endpoint.Description{Scheme: "unix", Args: args{{"", "a:b"}}}},
		{`unix:a\\:b`, endpoint.Description{Scheme: "unix", Args: args{{"", `a\`}, {"", "b"}}}},
		{`unix:a\=b`, endpoint.Description{Scheme: "unix", Args: args{{"", "a=b"}}}},
		{`unix:\a\ü`, endpoint.Description{Scheme: "unix", Args: args{{"", "aü"}}}},
		{`t\:c:1`, endpoint.Description{Scheme: "t:c", Args: args{{"", "1"}}}},
		// GRAM-2: the first unescaped '=' makes a keyword; later ones are literal.
		{"x:k=v", endpoint.Description{Scheme: "x", Args: args{{"k", "v"}}}},
		{"x:k=a=b=", endpoint.Description{Scheme: "x", Args: args{{"k", "a=b="}}}},
		{`x:k\=l=v`, endpoint.Description{Scheme: "x", Args: args{{"k=l", "v"}}}},
		{"x:1:k=v:2", endpoint.Description{Scheme: "x", Args: args{{"", "1"}, {"k", "v"}, {"", "2"}}}},
		// GRAM-3: empty fields and values are empty strings; repetitions stay.
		{"", endpoint.Description{}},
		{":", endpoint.Description{Args: args{{"", ""}}}},
		{"x::k=:", endpoint.Description{Scheme: "x", Args: args{{"", ""}, {"k", ""}, {"", ""}}}},
		{"x:k=1:k=2", endpoint.Description{Scheme: "x", Args: args{{"k", "1"}, {"k", "2"}}}},
		// GRAM-23: inside brackets colons need no escape, and the brackets stay.
		{"tcp:[::1]:80", endpoint.Description{Scheme: "tcp", Args: args{{"", "[::1]"}, {"", "80"}}}},
		{"tcp:host=[fe80::1%a=b]:80", endpoint.Description{Scheme: "tcp", Args: args{{"host", "[fe80::1%a=b]"}, {"", "80"}}}},
		{`tcp:[a\]:b]`, endpoint.Description{Scheme: "tcp", Args: args{{"", "[a]:b]"}}}},
		{`tcp:\[\:\:1]`, endpoint.Description{Scheme: "tcp", Args: args{{"", "[::1]"}}}},
		{`unix:\[a:k=\[b`, endpoint.Description{Scheme: "unix", Args: args{{"", "[a"}, {"k", "[b"}}}},
		{"unix:a[:b]:k=v=[", endpoint.Description{Scheme: "unix", Args: args{{"", "a["}, {"", "b]"}, {"k", "v=["}}}},
		// Bytes that are no text pass.
		{"x:\xff\x00:é", endpoint.Description{Scheme: "x", Args: args{{"", "\xff\x00"}, {"", "é"}}}},
	} {
		got, err := endpoint.Parse(c.in)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("Parse(%q) = %q, %v; want %q", c.in, got, err, c.want)
		}
	}
}

func TestParseSyntaxError(t *testing.T) {
	for _, c := range []struct {
		in     string
		offset int
		got    string
		want   string
		caret  string
	}{
		// GRAM-1: a backslash at the very end.
		{`tcp:80\`, 7, "the end", `a character after '\'`, `tcp:80\` + "\n       ^"},
		{"tcp:80:=x", 7, `'='`, `a keyword before '=', or '\='`, "tcp:80:=x\n       ^"},
		{"tcp=80", 3, `'='`, "a type before any argument", "tcp=80\n   ^"},
		{"tcp:[::1:80", 11, "the end", `']' for the '[' at offset 4, or '\[' there`, "tcp:[::1:80\n           ^"},
		{"tcp:é:[::1]é0", 12, `'é'`, "':' or the end after ']'", "tcp:é:[::1]é0\n           ^"},
		{"\t\xff:[]\xfe", 5, "byte 0xfe", "':' or the end after ']'", "??:[]?\n     ^"},
		{"tcp:[a]=b", 7, `'='`, "':' or the end after ']'", "tcp:[a]=b\n       ^"},
		{`tcp:[a]\`, 7, `'\\'`, "':' or the end after ']'", `tcp:[a]\` + "\n       ^"},
	} {
		d, err := endpoint.Parse(c.in)
		e, ok := errors.AsType[*endpoint.SyntaxError](err)
		if !ok || !errors.Is(err, endpoint.ErrSyntax) {
			t.Errorf("Parse(%q) = %q, %v; want a SyntaxError", c.in, d, err)
			continue
		}
		if *e != (endpoint.SyntaxError{Input: c.in, Offset: c.offset, Got: c.got, Want: c.want}) {
			t.Errorf("Parse(%q): %+v", c.in, *e)
		}
		if e.Caret() != c.caret {
			t.Errorf("Caret of %q:\n%s\nwant\n%s", c.in, e.Caret(), c.caret)
		}
		for _, part := range []string{c.got, c.want} {
			if !strings.Contains(e.Error(), part) {
				t.Errorf("%q does not say %s", e, part)
			}
		}
	}
	_, err := endpoint.Parse(`tcp:80\`)
	want := `endpoint description "tcp:80\\": got the end at offset 7, want a character after '\'`
	if err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// GRAM-4: what Quote wrote means itself, by position and by keyword.
func TestQuoteRoundTripGRAM4(t *testing.T) {
	back := func(s string) bool {
		d, err := endpoint.Parse(endpoint.Quote(s) + ":" + endpoint.Quote(s) + ":k=" + endpoint.Quote(s))
		return err == nil && reflect.DeepEqual(d, endpoint.Description{Scheme: s, Args: args{{"", s}, {"k", s}}})
	}
	for _, s := range []string{"", ":", `\`, "=", "[", "]", "[]", "[a:b]", "a=b", `\:`, "é:\xff"} {
		if !back(s) {
			t.Errorf("%q came back otherwise from %q", s, endpoint.Quote(s))
		}
	}
	special := func(picks []byte) bool {
		for i, p := range picks {
			picks[i] = `\:=[]a`[int(p)%6]
		}
		return back(string(picks))
	}
	if err := quick.Check(special, nil); err != nil {
		t.Error(err)
	}
	if err := quick.Check(back, nil); err != nil {
		t.Error(err)
	}
	if got := endpoint.Quote("/tmp/a b]"); got != "/tmp/a b]" {
		t.Errorf("Quote changed plain text: %q", got)
	}
}

// A description writes itself so that Parse reads it again, and an address in
// brackets stays readable.
func TestDescriptionString(t *testing.T) {
	for in, want := range map[string]string{
		"tcp:[::1]:host=[::2]": "tcp:[::1]:host=[::2]",
		`tcp:\[\:\:1]`:         "tcp:[::1]",
		`tcp:[a\]b]`:           `tcp:\[a]b]`,
		`x:\[\\]`:              `x:\[\\]`,
		"x::k=:a[b":            `x::k=:a\[b`,
	} {
		d, err := endpoint.Parse(in)
		if err != nil || d.String() != want {
			t.Errorf("%q: %q, %v; want %q", in, d.String(), err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "tcp:80", `unix:a\:b`, "x:k=v=w", "tcp:[::1]:80:k=[a:b]", `tcp:[a\]`, `\`, "a=", "x:=", "\xff:[\xfe]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := endpoint.Parse("x:" + endpoint.Quote(s)) // GRAM-4
		if err != nil || len(q.Args) != 1 || q.Args[0] != (endpoint.Argument{Value: s}) {
			t.Fatalf("%q, quoted %q, came back as %q, %v", s, endpoint.Quote(s), q, err)
		}
		d, err := endpoint.Parse(s)
		if err != nil {
			e, ok := err.(*endpoint.SyntaxError)
			if !ok || e.Input != s || e.Offset < 0 || e.Offset > len(s) || e.Want == "" || e.Got == "" {
				t.Fatalf("Parse(%q): %#v", s, err)
			}
			if strings.Count(e.Caret(), "\n") != 1 {
				t.Fatalf("Caret is not two lines: %q", e.Caret())
			}
			return
		}
		again, err := endpoint.Parse(d.String())
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("%q is %q, which writes itself as %q, which is %q, %v", s, d, d.String(), again, err)
		}
	})
}

// Whatever the description, the registry answers with a place or with one of
// its four errors, and a place describes itself.
func FuzzSchemes(f *testing.F) {
	for _, s := range []string{
		"tcp:80", "tcp:80:interface=[::1]:nodelay=1", "TCP4:80:127.0.0.1:5", "tcp6:0:5:\\:\\:1",
		"tcp:a.example:80:timeout=1.5:bindAddress=127.0.0.1", "tcp:[fe80::1%e]:1:attemptDelay=-1s",
		"tcp:[0::1]:1", "tls:[0::1]:1:minVersion=1.3", "ssl:a.example:1:verify=none", "tls:a.example:1:endpoint=tcp\\:b.example\\:2",
		"tls:a.example:1:endpoint=[unix:/run/s]", "tls:certificates=testdata/none.pem:endpoint=[unix:/run/s]",
		"udp:53", "udp6:0:[::1]:sndbuf=5", "udp:5353:groups=224.0.0.251@eth0,239.1.2.3:ttl=4:shared=1", "UDP6:5353:groups=[ff02::fb@eth0,ff02::1%lo]",
		"udp:a.example:53:bindAddress=127.0.0.1:bindPort=5:ttl=0:groupInterface=lo", "udp4:224.0.0.1:1:broadcast=yes", "udp:0:[ff02::fb]:groups=[ff02::fb]",
		"unixgram:/run/s:660:no:owner=a", "unixgram:@x", "unixgram:/run/s:bindAddress=/run/c:mode=600",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		std := std.Schemes(nil)
		describesItself(t, s, std.Server)
		describesItself(t, s, std.Client)
		describesItself(t, s, std.PacketServer)
		describesItself(t, s, std.PacketClient)
	})
}

func describesItself[T fmt.Stringer](t *testing.T, in string, find func(string) (T, error)) {
	e, err := find(in)
	if err != nil {
		if !errors.Is(err, endpoint.ErrSyntax) && !errors.Is(err, endpoint.ErrUnknownScheme) && !errors.Is(err, endpoint.ErrKind) && !errors.Is(err, endpoint.ErrArgument) {
			t.Fatalf("%q: %v", in, err)
		}
		return
	}
	again, err := find(e.String())
	if err != nil || again.String() != e.String() || !sameArguments(e, again) {
		t.Fatalf("%q is %+v, which describes itself as %q, which is %+v, %v", in, e, e, again, err)
	}
}

// sameArguments reports whether two places are alike in what a description can say. What
// they have made of it, and the registry they came from, are each place's own.
func sameArguments(a, b any) bool {
	x, y := reflect.Indirect(reflect.ValueOf(a)), reflect.Indirect(reflect.ValueOf(b))
	if x.Type() != y.Type() {
		return false
	}
	for i := range x.NumField() {
		f := x.Type().Field(i)
		if f.IsExported() && f.Name != "Known" && f.Name != "Over" && !reflect.DeepEqual(x.Field(i).Interface(), y.Field(i).Interface()) {
			return false
		}
	}
	return true
}
