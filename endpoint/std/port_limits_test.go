package std_test

import (
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// limitCase is a description of limits, and what becomes of three clients that say nothing.
type limitCase struct {
	arguments []string
	same      reactor.PortLimits
	want      reactor.PortStats
}

func limitCases() []limitCase {
	return []limitCase{
		{nil, reactor.PortLimits{}, reactor.PortStats{Accepted: 3, Open: 3}},
		{[]string{"maxconnections=1"}, reactor.PortLimits{MaxConnections: 1}, reactor.PortStats{Accepted: 1, Open: 1, WaitedFull: 1}},
		{[]string{"maxconnections=1", "refuseexcess=yes"}, reactor.PortLimits{MaxConnections: 1, RefuseExcess: true},
			reactor.PortStats{Accepted: 3, Open: 1, Refused: 2, TooMany: 2}},
		{[]string{"maxperpeer=2"}, reactor.PortLimits{MaxPerPeer: 2}, reactor.PortStats{Accepted: 3, Open: 2, Peers: 1, Refused: 1, TooManyOfPeer: 1}},
		{[]string{"acceptrate=1"}, reactor.PortLimits{AcceptRate: 1}, reactor.PortStats{Accepted: 1, Open: 1, WaitedRate: 1}},
		{[]string{"acceptrate=1", "acceptburst=2"}, reactor.PortLimits{AcceptRate: 1, AcceptBurst: 2}, reactor.PortStats{Accepted: 2, Open: 2, WaitedRate: 1}},
	}
}

// TCP-92 to TCP-95: the limits of ports are arguments of every scheme to listen, and may be set for
// a whole set of schemes. A connection whose TLS handshake has not begun counts.
func TestPortLimitsAreArgumentsOfEveryScheme(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "localhost")
	schemes := map[string][]string{
		"tcp": {"0", "interface=127.0.0.1"}, "tcp4": {"0", "interface=127.0.0.1"}, "tcp6": {"0", "interface=[::1]"},
		"tls": {"0", both, "interface=127.0.0.1"}, "ssl": {"0", both, "interface=127.0.0.1"},
	}
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			for scheme, place := range schemes {
				for _, c := range limitCases() {
					e := server(t, describe(scheme, append(slices.Clone(place), c.arguments...)...))
					for _, argument := range c.arguments {
						name, value, _ := strings.Cut(argument, "=")
						if !slices.Contains(endpoint.Arguments(e), endpoint.Argument{Name: name, Value: value}) {
							t.Errorf("%v does not say %s", e, argument)
						}
					}
					testLimit(t, w, e, c.want)
					e, err := std.Schemes(&std.Options{PortLimits: c.same}).Server(describe(scheme, place...))
					if err != nil {
						t.Fatal(err)
					}
					testLimit(t, w, e, c.want)
				}
			}
		})
	}
}

// testLimit listens at e, and checks what becomes of three clients.
func testLimit(t *testing.T, w testworld.World, e endpoint.Server, want reactor.PortStats) {
	t.Helper()
	r := w.New(t, reactor.Config{})
	defer r.Close()
	l, err := e.Listen(r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(proto) }))
	if err != nil {
		t.Fatal(err)
	}
	var clients []*testworld.Peer
	for range 3 {
		clients = append(clients, w.Peer(t, l.Addr()))
	}
	testworld.Turns(t, r, 5)
	if got := l.(*reactor.Port).Stats(); got != want {
		t.Errorf("%v: %+v, want %+v", e, got, want)
	}
	for _, c := range clients {
		c.Close()
	}
}

// No limit is forgotten in the cases.
func TestPortLimitsCases(t *testing.T) {
	var all string
	for _, c := range limitCases() {
		all += strings.Join(c.arguments, " ") + " "
	}
	limits := reflect.TypeFor[reactor.PortLimits]()
	for i := range limits.NumField() {
		if name := limits.Field(i).Tag.Get("ep"); name == "" || !strings.Contains(all, name+"=") {
			t.Errorf("%s is not tested", limits.Field(i).Name)
		}
	}
}

// TCP-96: a factory behind TLS hears of what its port refuses.
func TestRefusalListenerBehindTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	both, _, _ := ca.issue("srv", "localhost")
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			f := new(refusals)
			l, err := server(t, describe("tls", "0", both, "interface=127.0.0.1", "maxperpeer=1")).Listen(r, f)
			if err != nil {
				t.Fatal(err)
			}
			first := w.Peer(t, l.Addr())
			second := w.Peer(t, l.Addr())
			until(t, r, func() bool { return len(f.errs) == 1 })
			if _, err := second.Rest(); err == nil || err == io.EOF {
				t.Errorf("the second client sees %v, want a reset", err)
			}
			first.Close()
		})
	}
}

// refusals is a factory that hears of refusals.
type refusals struct{ errs []error }

func (f *refusals) BuildProtocol(kernel.Addr) reactor.Protocol   { return new(proto) }
func (f *refusals) ConnectionRefused(_ *reactor.Port, err error) { f.errs = append(f.errs, err) }
