package endpoint

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// Server is a place to listen. Its String is a description of it, for the Schemes it
// came from; [Describe] writes it.
type Server interface {
	fmt.Stringer
	// Listen opens the place on one reactor, or on all loops of a group, and serves it with f's protocols.
	// f is then called on all of these loops, on several at a time. It is called on
	// a goroutine of on, and may be called again, for another port. It does not panic because
	// of what the place is: every failure is an error, for which errors.Is finds
	// reactor.ErrListen (EP-1, EP-8).
	Listen(on reactor.Loops, f reactor.Factory) (Listener, error)
}

// Listener is a place that is being listened on, such as a [reactor.Port] or a [reactor.GroupPort]. Its methods
// are called on the loop's goroutine, of a group on that of a loop of it.
type Listener interface {
	// Addr is the address, with the port number that the system chose.
	Addr() kernel.Addr
	// StopListening ends the place; connections that were accepted live on. Later those
	// that wait to be accepted are, as [reactor.Port.StopListening] says, the place is
	// closed and the factory stopped. Then done, if not nil, is called once, with the
	// factory's error if it had one. A place that does this in a function it posts in
	// StopListening loses no connection when a server drains.
	StopListening(done func(error))
}

// Addrs returns every address of l: what its method Addrs returns, if it has one, else Addr alone.
// A place that listens on more than one address has such a method. It is for the loop's goroutine.
func Addrs(l Listener) []kernel.Addr {
	if all, ok := l.(interface{ Addrs() []kernel.Addr }); ok {
		return all.Addrs()
	}
	return []kernel.Addr{l.Addr()}
}

// Ports returns the ports of l, for their limits, counters and pauses: l itself if it is a
// [*reactor.Port], or what its method Ports returns. A place that listens at several addresses has such
// a method. Nil: the place has no ports that it shows. It is for the loop's goroutine.
//
// A place on a group has no port of one reactor: [Listenings] has its ports.
func Ports(l Listener) []*reactor.Port {
	switch l := l.(type) {
	case *reactor.Port:
		return []*reactor.Port{l}
	case interface{ Ports() []*reactor.Port }:
		return l.Ports()
	}
	return nil
}

// Listenings returns the ports of l, of one reactor or of a group, for their counters and pauses, as Ports does for one
// reactor. Nil: the place has none that it shows.
func Listenings(l Listener) (all []reactor.Listening) {
	switch l := l.(type) {
	case reactor.Listening:
		return []reactor.Listening{l}
	case interface{ Listenings() []reactor.Listening }:
		return l.Listenings()
	}
	for _, p := range Ports(l) {
		all = append(all, p)
	}
	return all
}

// Client is a place to connect to. Its String is a description of it, for the Schemes
// it came from; [Describe] writes it.
type Client interface {
	fmt.Stringer
	// Connect starts connecting. It is called on r's goroutine, and may be called
	// again, for another connection. done is called once, on the same goroutine, never
	// before Connect returns (EP-1), unless r has stopped (THR-32). It gets the protocol that f built, after its
	// ConnectionMade (EP-2), or an error, for which errors.Is finds
	// reactor.ErrConnect (EP-5).
	//
	// f is started and stopped as a [reactor.StartStopper], but its methods as a
	// [reactor.ConnectorListener] are not called (EP-3). If it builds nil, the
	// connection is closed and the error is reactor.ErrNoProtocol (EP-4).
	//
	// cancel gives the attempt up: no connection is made, and done is called
	// later, with reactor.ErrCancelled. After done was called, and the second
	// time, cancel does nothing (EP-6).
	Connect(r *reactor.Reactor, f reactor.Factory, done func(reactor.Protocol, error)) (cancel func())
}

// ConnectProtocol connects p to c. done gets p, or an error (EP-9). Otherwise it is
// c.Connect; see [Client].
func ConnectProtocol(c Client, r *reactor.Reactor, p reactor.Protocol, done func(reactor.Protocol, error)) (cancel func()) {
	return c.Connect(r, reactor.One(p), done)
}

// Checker is implemented by schemes that verify their arguments. Check is called once
// the struct has been filled. An error that is no [*ArgumentError] is wrapped in one.
type Checker interface {
	Check() error
}

// Schemes is a set of types, for listening and for connecting, of connections and of datagrams, by name (GRAM-9). The
// zero Schemes is empty, and a copy of a Schemes is another one. Several goroutines may use it while
// nothing is added.
//
//	schemes := std.Schemes(nil)
//	schemes.AddServer("flaky", func() endpoint.Server { return &Flaky{Every: 3} })
//
// A type is a struct. Its maker returns a pointer to a new one, which holds the defaults
// of the arguments. A field is an argument if it is tagged `ep:"name,position,optional"`:
//
//   - `ep:"name"` may be given by its keyword.
//   - `ep:"name,0"` must be given, by its position, counted from 0, or by its keyword.
//   - `ep:"name,0,optional"` may be given, by either.
//   - `ep:"name,0,unless=other"` must be given unless the argument other is.
//   - `ep:"!name"` is a bool that is true when the argument is no: its zero value is yes.
//
// A tag `help:"..."` is the argument's line in the help text. The tag of a field called _
// is the line of the type. With a tag `empty:"no"` the argument must not be given without a value, as NAME=: for one that protects, and
// that would be left out without a word where the variable of a shell is not set. The Go type of a field decides how it is written:
//
//   - string: any text
//   - []string: any text; the argument has no position, and may be given several times, one element each
//   - bool: yes, no, true, false, 1 or 0
//   - int and its sizes, uint and its sizes but uint16: a decimal number
//   - uint16: a port, 0 to 65535, or the name of a service
//   - fs.FileMode: octal, 0 to 777
//   - time.Duration: a number of seconds, or a form such as 1m30s
//   - netip.Addr: an IP literal, with its scope, in brackets or not; or nothing
//   - [Host]: a host name or an IP literal
//
// A struct may embed another, by value: the arguments of the embedded struct stand
// where it does. A tag on the embedding gives some of them other positions:
//
//	TCPServer `ep:"port,0 interface,2,optional"`
type Schemes struct {
	servers       map[string]func() Server
	clients       map[string]func() Client
	packetServers map[string]func() PacketServer
	packetClients map[string]func() PacketClient
}

// AddServer makes name a type for listening, in the place of what had the name before.
// It panics if the tags of the struct contradict each other: if two arguments have one
// name, for instance, or a field has a type that cannot be written.
func (s *Schemes) AddServer(name string, mk func() Server) {
	s.servers = added(s.servers, name, mk)
}

// AddClient makes name a type for connecting, as AddServer does for listening.
func (s *Schemes) AddClient(name string, mk func() Client) {
	s.clients = added(s.clients, name, mk)
}

// added returns known with one more type. It panics if the tags are bad.
func added[T any](known map[string]func() T, name string, mk func() T) map[string]func() T {
	formOf(mk())
	known = maps.Clone(known) // a copy of the Schemes keeps what it has (GRAM-9)
	if known == nil {
		known = map[string]func() T{}
	}
	known[name] = mk
	return known
}

// Server returns the place to listen that description names. Upper and lower case of
// the type do not matter (GRAM-5). A mistake in the description is an error here, not
// at Listen: a [*SyntaxError], an [*UnknownSchemeError], a [*KindError] for a type of datagrams, or an
// [*ArgumentError] (GRAM-6, GRAM-7, EP-25).
func (s *Schemes) Server(description string) (Server, error) {
	return find(s.servers, names(s.packetServers), description, kindAsked{})
}

// Client returns the place to connect to that description names. Its errors are those
// of Server.
func (s *Schemes) Client(description string) (Client, error) {
	return find(s.clients, names(s.packetClients), description, kindAsked{client: true})
}

// kindAsked says which kind of place is asked for.
type kindAsked struct{ client, datagrams bool }

func names[T any](known map[string]func() T) []string { return slices.Sorted(maps.Keys(known)) }

// find makes the place that description names. others are the types of the other kind, datagrams or connections.
func find[T any](known map[string]func() T, others []string, description string, asked kindAsked) (T, error) {
	var none T
	d, err := Parse(description)
	if err != nil {
		return none, err
	}
	scheme, all := d.Scheme, names(known)
	if known[scheme] == nil {
		same := func(n string) bool { return strings.EqualFold(n, scheme) }
		i := slices.IndexFunc(all, same)
		switch {
		case i < 0 && slices.ContainsFunc(others, same):
			return none, &KindError{Scheme: scheme, Client: asked.client, Datagrams: asked.datagrams, Known: all}
		case i < 0:
			return none, &UnknownSchemeError{Scheme: scheme, Client: asked.client, Datagrams: asked.datagrams, Known: all, Others: others}
		}
		scheme = all[i]
	}
	e := known[scheme]()
	if err := fill(scheme, d.Args, e); err != nil {
		return none, err
	}
	if c, ok := any(e).(Checker); ok {
		if err := c.Check(); err != nil {
			if _, ok := errors.AsType[*ArgumentError](err); !ok {
				err = &ArgumentError{Scheme: scheme, Err: err}
			}
			return none, err
		}
	}
	return e, nil
}

// Describe writes the description of a place: scheme, and the [Arguments] that e holds.
// The String methods of places return it.
func Describe(scheme string, e any) string {
	return Description{Scheme: scheme, Args: Arguments(e)}.String()
}

// Arguments returns the arguments that e holds, a pointer to a scheme's struct: those
// that are required, by position, and by keyword the others that are not zero. What another argument lets be left out is,
// and then those behind it are by keyword too.
func Arguments(e any) []Argument {
	f, v := formOf(e)
	var args []Argument
	leftOut := false
	for _, a := range f.fields {
		text, zero := a.text(v)
		if a.unless != "" && zero {
			_, none := f.fields[f.find(a.unless)].text(v)
			leftOut = leftOut || !none
			if !none {
				continue
			}
		}
		switch {
		case a.list:
			for _, one := range v.FieldByIndex(a.index).Interface().([]string) {
				args = append(args, Argument{Name: a.name, Value: one})
			}
		case !a.optional && !leftOut:
			args = append(args, Argument{Value: text})
		case !a.optional || !zero:
			args = append(args, Argument{Name: a.name, Value: text})
		}
	}
	return args
}

// Help returns a text about all types, for listening and then for connecting, and the same of datagrams if
// there are any, sorted: their arguments, and the defaults that are not zero.
func (s *Schemes) Help() string {
	var b strings.Builder
	b.WriteString("Places to listen:\n")
	help(&b, s.servers)
	b.WriteString("\nPlaces to connect to:\n")
	help(&b, s.clients)
	if len(s.packetServers) > 0 {
		b.WriteString("\nPlaces to receive datagrams:\n")
		help(&b, s.packetServers)
	}
	if len(s.packetClients) > 0 {
		b.WriteString("\nPlaces to send datagrams to:\n")
		help(&b, s.packetClients)
	}
	return b.String()
}

func help[T any](b *strings.Builder, known map[string]func() T) {
	for _, name := range names(known) {
		f, v := formOf(known[name]())
		b.WriteString("\n  " + name)
		for _, a := range f.fields[:f.byPlace] {
			if a.optional {
				b.WriteString("[")
			}
			b.WriteString(":" + a.name)
		}
		for _, a := range f.fields[:f.byPlace] {
			if a.optional {
				b.WriteString("]")
			}
		}
		for _, a := range f.fields[f.byPlace:] {
			b.WriteString("[:" + a.name + "=]")
			if a.list {
				b.WriteString("...")
			}
		}
		b.WriteString("\n")
		if f.summary != "" {
			b.WriteString("      " + f.summary + "\n")
		}
		width := 0
		for _, a := range f.fields {
			width = max(width, len(a.name))
		}
		for _, a := range f.fields {
			line := fmt.Sprintf("      %-*s  %s", width, a.name, a.help)
			if text, zero := a.text(v); !zero {
				line += " (default " + text + ")"
			}
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
}
