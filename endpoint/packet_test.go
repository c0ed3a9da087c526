package endpoint_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// grams is a scheme for datagrams, in name only.
type grams struct {
	_    struct{} `help:"Datagrams."`
	Port uint16   `ep:"port,0" help:"which"`
}

func (e *grams) ListenPacket(*reactor.Reactor, reactor.PacketProtocol) (*reactor.PacketPort, error) {
	return nil, errors.New("in name only")
}

func (e *grams) ConnectPacket(r *reactor.Reactor, _ reactor.PacketProtocol, done func(*reactor.PacketPort, error)) (cancel func()) {
	r.Post(func() { done(nil, errors.New("in name only")) })
	return func() {}
}

func (e *grams) String() string { return endpoint.Describe("grams", e) }

func (e *grams) Check() error {
	if e.Port == 13 {
		return errors.New("13 is unlucky")
	}
	return nil
}

func withGrams() *endpoint.Schemes {
	s := new(endpoint.Schemes)
	s.AddServer("all", newAll)
	s.AddServer("both", newAll)
	s.AddPacketServer("grams", func() endpoint.PacketServer { return &grams{Port: 7} })
	s.AddPacketServer("both", func() endpoint.PacketServer { return &grams{} })
	s.AddPacketClient("grams", func() endpoint.PacketClient { return new(grams) })
	return s
}

// GRAM-5, GRAM-7, GRAM-9: schemes of datagrams are found, filled and checked as those of connections are, and a name may be
// one of each kind.
func TestPacketSchemes(t *testing.T) {
	s := withGrams()
	if e, err := s.PacketServer("GRAMS:9"); err != nil || e.(*grams).Port != 9 || e.String() != "grams:9" {
		t.Errorf("GRAM-5: %v, %v", e, err)
	}
	if e, err := s.PacketClient("grams:port=9"); err != nil || e.(*grams).Port != 9 {
		t.Errorf("GRAM-9: %v, %v", e, err)
	}
	for _, in := range []string{"grams", "grams:x", "grams:1:2", "grams:13", "grams:70000"} {
		for what, err := range map[string]error{"server": serverError(s, in), "client": clientError(s, in)} {
			if e, ok := errors.AsType[*endpoint.ArgumentError](err); !ok || e.Scheme != "grams" {
				t.Errorf("GRAM-7: %s as a %s: %v", in, what, err)
			}
		}
	}
	if _, err := s.PacketServer(`grams\`); !errors.Is(err, endpoint.ErrSyntax) {
		t.Error(err)
	}
	_, err1 := s.Server("both:/tmp:1")
	_, err2 := s.PacketServer("both:1")
	if err := errors.Join(err1, err2); err != nil {
		t.Error(err)
	}
	mine := *s
	mine.AddPacketServer("mine", func() endpoint.PacketServer { return new(grams) })
	if _, err := s.PacketServer("mine:1"); !errors.Is(err, endpoint.ErrUnknownScheme) {
		t.Errorf("GRAM-9: the original says %v", err)
	}
}

func serverError(s *endpoint.Schemes, in string) error {
	_, err := s.PacketServer(in)
	return err
}

func clientError(s *endpoint.Schemes, in string) error {
	_, err := s.PacketClient(in)
	return err
}

// EP-25, GRAM-6: a type of the other kind is an error that says so, and what is unknown lists both kinds.
func TestWrongKind(t *testing.T) {
	s := withGrams()
	s.AddClient("all", func() endpoint.Client { return new(noClient) })
	_, server := s.Server("Grams:80")
	_, client := s.Client("grams:80")
	for want, err := range map[string]error{
		"Grams takes datagrams, not connections; for connections there are: all, both": server,
		"grams takes datagrams, not connections; for connections there are: all":       client,
		"all takes connections, not datagrams; for datagrams there are: both, grams":   serverError(s, "all:80"),
		"all takes connections, not datagrams; for datagrams there are: grams":         clientError(s, "all:80"),
	} {
		e, ok := errors.AsType[*endpoint.KindError](err)
		if !ok || !errors.Is(err, endpoint.ErrKind) || err.Error() != want {
			t.Errorf("EP-25: got %v, want %s", err, want)
			continue
		}
		if e.Datagrams != strings.HasPrefix(want, "all") || e.Client != !slices.Contains(e.Known, "both") {
			t.Errorf("EP-25: %+v", *e)
		}
	}
	_, unknown := s.Server("gramms:80")
	for want, err := range map[string]error{
		`unknown endpoint type "gramms"; did you mean "grams"?; known for listening: all, both; for receiving datagrams: both, grams`: unknown,
		`unknown endpoint type "x"; known for receiving datagrams: both, grams; for listening: all, both`:                             serverError(s, "x:80"),
		`unknown endpoint type "x"; known for sending datagrams: grams; for connecting: all`:                                          clientError(s, "x"),
	} {
		if !errors.Is(err, endpoint.ErrUnknownScheme) || err.Error() != want {
			t.Errorf("GRAM-6: got %v, want %s", err, want)
		}
	}
}

// noClient is a Client in name only, whose struct has no arguments.
type noClient struct{ endpoint.Client }

// The help has places of datagrams only if there are some.
func TestPacketHelp(t *testing.T) {
	const want = `
Places to receive datagrams:

  both:port
      Datagrams.
      port  which

  grams:port
      Datagrams.
      port  which (default 7)

Places to send datagrams to:

  grams:port
      Datagrams.
      port  which
`
	if got := withGrams().Help(); !strings.HasSuffix(got, want) {
		t.Errorf("got:\n%s\nwant at its end:\n%s", got, want)
	}
	var s endpoint.Schemes
	s.AddServer("all", newAll)
	if got := s.Help(); strings.Contains(got, "datagrams") {
		t.Errorf("without datagrams the help says:\n%s", got)
	}
}

// either takes a number, or a place.
type either struct {
	inName
	Port  uint16 `ep:"port,0,unless=over" help:"number"`
	Name  string `ep:"name,1"`
	Where string `ep:"where,2,optional"`
	Over  string `ep:"over"`
}

func (e *either) String() string { return endpoint.Describe("either", e) }

// GRAM-7: an argument that another one replaces may be left out with that, and must not without it.
func TestUnless(t *testing.T) {
	var s endpoint.Schemes
	s.AddServer("either", func() endpoint.Server { return new(either) })
	for in, want := range map[string]string{
		"either:1:a":                  "either:1:a",
		"either:1:a:b:over=c":         "either:1:a:where=b:over=c",
		"either:name=a:over=c":        "either:name=a:over=c",
		"either:0:a:over=c":           "either:name=a:over=c",
		"either:name=a:over=c:port=5": "either:5:a:over=c",
		"either:port=0:name=a":        "either:0:a",
	} {
		e, err := s.Server(in)
		if err != nil || e.String() != want {
			t.Errorf("%s: %v, %v; want %s", in, e, err, want)
			continue
		}
		if again, err := s.Server(e.String()); err != nil || *again.(*either) != *e.(*either) {
			t.Errorf("%s: %v describes itself as %v, %v", in, e, again, err)
		}
	}
	for in, want := range map[string]string{
		"either:name=a":      "endpoint either: port: missing: it is required without over=",
		"either:over=c":      "endpoint either: name: missing: it is required",
		"either:a:over=c":    `endpoint either: port: "a" is neither a port number nor a name: unknown service`,
		"either:1:name=x:::": `endpoint either: name: given by position and by keyword, "x" and ""`,
	} {
		if _, err := s.Server(in); err == nil || err.Error() != want {
			t.Errorf("GRAM-7: %s: %v, want %s", in, err, want)
		}
	}
	type lost struct {
		inName
		Port uint16 `ep:"port,0,unless=nothing"`
	}
	defer func() {
		if v := recover(); !strings.Contains(fmt.Sprint(v), `"port" may be left out with "nothing", which is no argument`) {
			t.Errorf("panic %v", v)
		}
	}()
	s.AddServer("lost", func() endpoint.Server { return new(lost) })
}
