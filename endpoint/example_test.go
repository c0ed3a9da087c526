package endpoint_test

import (
	"errors"
	"fmt"
	"log"
	"net/netip"
	"sync/atomic"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// Greeter sends a greeting and hangs up.
type Greeter struct{ reactor.Base }

func (g *Greeter) ConnectionMade(t reactor.Transport) {
	t.Write([]byte("hello"))
	t.Close()
}
func (g *Greeter) DataReceived([]byte) {}

// Listener prints what it hears until the end.
type Listener struct {
	reactor.Base
	ended bool
}

func (l *Listener) DataReceived(p []byte) { fmt.Printf("heard %s\n", p) }
func (l *Listener) ConnectionLost(error)  { l.ended = true }

func Example() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	defer r.Close()
	schemes := std.Schemes(nil)

	server, err := schemes.Server("tcp:0:interface=127.0.0.1")
	if err != nil {
		log.Fatal(err)
	}
	port, err := server.Listen(r, reactor.Each[Greeter]())
	if err != nil {
		log.Fatal(err)
	}
	client, err := schemes.Client(fmt.Sprintf("tcp:127.0.0.1:%d", port.Addr().Port()))
	if err != nil {
		log.Fatal(err)
	}
	l := new(Listener)
	endpoint.ConnectProtocol(client, r, l, func(_ reactor.Protocol, err error) {
		fmt.Println("connected:", err)
	})
	for !l.ended {
		if err := r.Turn(-1); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// connected: <nil>
	// heard hello
}

// Flaky is flaky:port[:every=]: it refuses every so many connections.
type Flaky struct {
	_     struct{} `help:"Listens on TCP and refuses some of the connections."`
	Port  uint16   `ep:"port,0" help:"port number or service name"`
	Every int      `ep:"every" help:"which connections to refuse"`
}

// Check refuses what Listen could not work with.
func (e *Flaky) Check() error {
	if e.Every < 1 {
		return errors.New("every must be 1 or more")
	}
	return nil
}

func (e *Flaky) Listen(on reactor.Loops, f reactor.Factory) (endpoint.Listener, error) {
	var n atomic.Int64 // on a group, several loops call the factory
	return on.ListenAt(kernel.TCPAddr(netip.IPv4Unspecified(), e.Port),
		reactor.FactoryFunc(func(peer kernel.Addr) reactor.Protocol {
			if n.Add(1)%int64(e.Every) == 0 {
				return nil
			}
			return f.BuildProtocol(peer)
		}), nil)
}

func (e *Flaky) String() string { return endpoint.Describe("flaky", e) }

// A scheme of one's own is a struct; its tags are its grammar and its help.
func ExampleSchemes() {
	var schemes endpoint.Schemes
	schemes.AddServer("flaky", func() endpoint.Server { return &Flaky{Every: 3} })
	fmt.Println(schemes.Server("flaky:http"))
	fmt.Println(schemes.Server("flaky:80:every=0"))
	fmt.Println(schemes.Server("flaky:80:evrey=2"))
	fmt.Println(schemes.Server("flakey:80"))
	fmt.Println()
	fmt.Print(schemes.Help())
	// Output:
	// flaky:80:every=3 <nil>
	// <nil> endpoint flaky: every must be 1 or more
	// <nil> endpoint flaky: evrey: no such argument (value "2"); did you mean "every"?; it takes port, every
	// <nil> unknown endpoint type "flakey"; did you mean "flaky"?; known for listening: flaky
	//
	// Places to listen:
	//
	//   flaky:port[:every=]
	//       Listens on TCP and refuses some of the connections.
	//       port   port number or service name
	//       every  which connections to refuse (default 3)
	//
	// Places to connect to:
}

func ExampleQuote() {
	path := `C:\my=files`
	fmt.Println("unix:" + endpoint.Quote(path))
	d, err := endpoint.Parse("unix:" + endpoint.Quote(path) + ":mode=600")
	fmt.Println(d.Scheme, d.Args[0].Value, d.Args[1].Name, d.Args[1].Value, err)
	// Output:
	// unix:C\:\\my\=files
	// unix C:\my=files mode 600 <nil>
}

func ExampleSyntaxError_Caret() {
	_, err := endpoint.Parse("tcp:[::1:80")
	if e, ok := errors.AsType[*endpoint.SyntaxError](err); ok {
		fmt.Println(e.Caret())
		fmt.Println("want", e.Want)
	}
	// Output:
	// tcp:[::1:80
	//            ^
	// want ']' for the '[' at offset 4, or '\[' there
}
