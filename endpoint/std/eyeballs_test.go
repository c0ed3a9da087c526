package std_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

const ms = time.Millisecond

// HOST-4, HOST-5: attempts start in order, 300 ms apart; the first to succeed
// wins, the others are given up, and done is told last.
func TestAttemptsAreStaggered(t *testing.T) {
	p := newPlan(t, map[string]string{"a.example": "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4"},
		map[string]fate{"10.0.0.1": {after: never}, "10.0.0.2": {after: never}, "10.0.0.3": {after: 50 * ms}})
	got := p.result(t, "tcp:a.example:80")
	if got.err != nil {
		t.Fatal(got.err)
	}
	p.expect(t, "0s dial 10.0.0.1", "300ms dial 10.0.0.2", "600ms dial 10.0.0.3",
		"650ms connected 10.0.0.3", "650ms drop 10.0.0.1", "650ms drop 10.0.0.2", "650ms done")
	if !slices.Equal(p.hosts.asked, []string{"a.example"}) || p.hosts.given != 0 {
		t.Errorf("HOST-3: the resolver was asked %q, and %d look-ups were given up", p.hosts.asked, p.hosts.given)
	}
}

// HOST-5: an attempt that was overtaken may still win.
func TestFirstMayWinLate(t *testing.T) {
	p := newPlan(t, map[string]string{"a.example": "10.0.0.1 10.0.0.2"},
		map[string]fate{"10.0.0.1": {after: 400 * ms}, "10.0.0.2": {after: 200 * ms}})
	if got := p.result(t, "tcp:a.example:80"); got.err != nil {
		t.Fatal(got.err)
	}
	p.expect(t, "0s dial 10.0.0.1", "300ms dial 10.0.0.2",
		"400ms connected 10.0.0.1", "400ms drop 10.0.0.2", "400ms done")
}

// HOST-5: of two that succeed in the same turn one wins, and only one protocol is
// built.
func TestTwoSucceedTogether(t *testing.T) {
	p := newPlan(t, map[string]string{"a.example": "10.0.0.1 10.0.0.2"},
		map[string]fate{"10.0.0.1": {after: 400 * ms}, "10.0.0.2": {after: 100 * ms}})
	var f site
	var got result
	client(t, "tcp:a.example:80").Connect(p.Reactor, &f, got.done)
	p.until(t, &got)
	if got.err != nil || len(f.built) != 1 || f.built[0].made != 1 || f.built[0].lost != nil {
		t.Errorf("%v, %d protocols", got.err, len(f.built))
	}
	p.expect(t, "0s dial 10.0.0.1", "300ms dial 10.0.0.2", "400ms connected 10.0.0.1", "400ms drop 10.0.0.2")
}

// HOST-7: a failure starts the next attempt at once, and the delay counts anew.
func TestFailureStartsNextAtOnce(t *testing.T) {
	p := newPlan(t, map[string]string{"a.example": "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4"},
		map[string]fate{"10.0.0.2": {after: 10 * ms, err: kernel.ErrNoRoute}, "10.0.0.3": {after: never}, "10.0.0.4": {after: ms}})
	if got := p.result(t, "tcp:a.example:80"); got.err != nil {
		t.Fatal(got.err)
	}
	p.expect(t, "0s dial 10.0.0.1", "0s dial 10.0.0.2", "10ms dial 10.0.0.3", "310ms dial 10.0.0.4",
		"311ms connected 10.0.0.4", "311ms drop 10.0.0.3", "311ms done")

	// After the last address nothing is left to start.
	p = newPlan(t, map[string]string{"a.example": "10.0.0.1 10.0.0.2"},
		map[string]fate{"10.0.0.1": {after: 10 * ms, err: kernel.ErrNoRoute}, "10.0.0.2": {after: time.Second}})
	if got := p.result(t, "tcp:a.example:80"); got.err != nil {
		t.Fatal(got.err)
	}
	p.expect(t, "0s dial 10.0.0.1", "10ms dial 10.0.0.2", "1.01s connected 10.0.0.2", "1.01s done")
}

// EP-4: a factory that builds nothing, or panics, was asked about a peer that was
// reached: no other address is tried.
func TestRefusalIsFinal(t *testing.T) {
	boom := errors.New("boom")
	for want, build := range map[error]reactor.FactoryFunc{
		reactor.ErrNoProtocol: func(kernel.Addr) reactor.Protocol { return nil },
		boom:                  func(kernel.Addr) reactor.Protocol { panic(boom) },
	} {
		p := plan{planned: newPlanned(map[string]fate{"10.0.0.1": {}, "10.0.0.2": {}}),
			hosts: &hosts{names: map[string]string{"a.example": "10.0.0.1 10.0.0.2"}}}
		p.Reactor = testworld.New(t, p.planned, reactor.Config{Resolver: p.hosts, Panicked: func(*reactor.PanicError) {}})
		var got result
		client(t, "tcp:a.example:80").Connect(p.Reactor, build, got.done)
		p.until(t, &got)
		if got.p != nil || !errors.Is(got.err, want) {
			t.Errorf("%v, %v; want %v", got.p, got.err, want)
		}
		p.expect(t, "0s dial 10.0.0.1", "0s connected 10.0.0.1")
	}
}

// HOST-6: when all have failed it fails at once, with every cause, each naming its
// address, in the order of the attempts.
func TestAllFail(t *testing.T) {
	p := newPlan(t, map[string]string{"a.example": "10.0.0.1 10.0.0.2 fd00::1"},
		map[string]fate{"10.0.0.1": {after: 500 * ms, err: kernel.ErrNoRoute}, "10.0.0.2": {after: 20 * ms, err: kernel.ErrReset}})
	got := p.result(t, "tcp:a.example:80")
	p.expect(t, "0s dial 10.0.0.1", "300ms dial fd00::1", "300ms dial 10.0.0.2", "500ms failed")
	want := "dial tcp a.example:80: dial tcp 10.0.0.1:80: no route; dial tcp [fd00::1]:80: connection refused; " +
		"dial tcp 10.0.0.2:80: connection reset by peer"
	if got.err == nil || got.err.Error() != want {
		t.Errorf("got  %v\nwant %s", got.err, want)
	}
	for _, target := range []error{reactor.ErrConnect, kernel.ErrRefused, kernel.ErrNoRoute, kernel.ErrReset} {
		if !errors.Is(got.err, target) {
			t.Errorf("not %v: %v", target, got.err)
		}
	}
	all, ok := errors.AsType[*reactor.AttemptsError](got.err)
	if !ok || len(all.Errs) != 3 {
		t.Errorf("%#v", got.err)
	}
}

// HOST-4: families take turns, beginning with the resolver's first, each in the
// resolver's order and no address twice; EP-12, GRAM-23: tcp4 and tcp6 try their
// own alone, a bindAddress its family.
func TestOrderOfAddresses(t *testing.T) {
	names := map[string]string{
		"four.example": "10.0.0.1 10.0.0.2 10.0.0.3 fd00::1 10.0.0.1 ::ffff:10.0.0.2 fd00::2 fd00::1",
		"six.example":  "fd00::1 fd00::2 10.0.0.1",
	}
	for description, want := range map[string]string{
		"tcp:four.example:80":                         "10.0.0.1 fd00::1 10.0.0.2 fd00::2 10.0.0.3",
		"tcp:six.example:80":                          "fd00::1 10.0.0.1 fd00::2",
		"tcp4:four.example:80":                        "10.0.0.1 10.0.0.2 10.0.0.3",
		"tcp6:four.example:80":                        "fd00::1 fd00::2",
		"tcp4:six.example:80":                         "10.0.0.1",
		"tcp:six.example:80:bindAddress=10.9.9.9":     "10.0.0.1",
		"tcp:four.example:80:bindAddress=[fd00::99]":  "fd00::1 fd00::2",
		"tcp6:four.example:80:bindAddress=[fd00::99]": "fd00::1 fd00::2",
	} {
		p := newPlan(t, names, nil)
		got := p.result(t, description)
		var tried []string
		for _, a := range p.asked {
			tried = append(tried, a.Host())
		}
		if strings.Join(tried, " ") != want || !errors.Is(got.err, kernel.ErrRefused) {
			t.Errorf("%s tried %v; want %s; %v", description, tried, want, got.err)
		}
	}
}

// HOST-3, EP-12: a name without an address, or without one of the family, is
// ErrUnknownHost and named.
func TestUnknownHost(t *testing.T) {
	names := map[string]string{"four.example": "10.0.0.1", "six.example": "fd00::1"}
	for description, host := range map[string]string{
		"tcp:nobody.example:80":                    "nobody.example",
		"tcp6:four.example:80":                     "four.example",
		"tcp4:six.example:80":                      "six.example",
		"tcp:six.example:80:bindAddress=127.0.0.1": "six.example",
	} {
		p := newPlan(t, names, nil)
		got := p.result(t, description)
		if !errors.Is(got.err, reactor.ErrUnknownHost) || !errors.Is(got.err, reactor.ErrConnect) || !strings.Contains(got.err.Error(), host) {
			t.Errorf("%s: %v", description, got.err)
		}
		p.expect(t, "0s failed")
	}
}

// EP-12: a literal is used as it is, without a look-up. HOST-8: a scope is kept,
// that of a literal and that of an address from the resolver.
func TestLiteralsAndScopes(t *testing.T) {
	for description, want := range map[string]string{
		"tcp:10.0.0.1:80":             "10.0.0.1:80",
		"tcp4:10.0.0.1:80":            "10.0.0.1:80",
		"tcp:[::ffff:10.0.0.1]:80":    "10.0.0.1:80",
		"tcp6:[fd00::1]:80":           "[fd00::1]:80",
		`tcp:fd00\:\:1:80`:            "[fd00::1]:80",
		"tcp:[fe80::1%eth0]:80":       "[fe80::1%eth0]:80",
		"tcp6:port=80:link.example":   "[fe80::2%eth1]:80",
		"tcp:port=80:host=[fd00::1]":  "[fd00::1]:80",
		"tcp:10.0.0.1:http":           "10.0.0.1:80",
		"tcp:link.example:port=https": "[fe80::2%eth1]:443",
	} {
		p := newPlan(t, map[string]string{"link.example": "fe80::2%eth1"}, nil)
		p.result(t, description)
		if len(p.asked) != 1 || p.asked[0].String() != want {
			t.Errorf("%s dials %v; want %s", description, p.asked, want)
		}
		if named := strings.Contains(description, "link"); named != (len(p.hosts.asked) == 1) {
			t.Errorf("%s asks the resolver for %q", description, p.hosts.asked)
		}
	}
}

// HOST-8: cancel gives up the look-up, or every attempt, and leaves no timer; the
// error names the host.
func TestCancelLookUpAndAttempts(t *testing.T) {
	for _, looking := range []bool{true, false} {
		p := newPlan(t, map[string]string{"a.example": "10.0.0.1 10.0.0.2 10.0.0.3"},
			map[string]fate{"10.0.0.1": {after: never}, "10.0.0.2": {after: never}, "10.0.0.3": {after: ms}})
		p.hosts.silent = looking
		var got result
		cancel := client(t, "tcp:a.example:80").Connect(p.Reactor, new(site), got.done)
		p.CallLater(400*ms, func() {
			p.note("cancel", kernel.Addr{})
			cancel()
			if got.calls != 0 {
				t.Error("EP-6: done was called inside cancel")
			}
			if n := len(p.DelayedCalls()); n != 0 {
				t.Errorf("%d delayed calls left after cancel", n)
			}
		})
		p.until(t, &got)
		want := "dial tcp a.example:80: cancelled"
		if !errors.Is(got.err, reactor.ErrCancelled) || got.err.Error() != want {
			t.Errorf("got  %v\nwant %s", got.err, want)
		}
		if looking {
			p.expect(t, "400ms cancel")
			if p.hosts.given != 1 {
				t.Errorf("the look-up was given up %d times", p.hosts.given)
			}
		} else {
			p.expect(t, "0s dial 10.0.0.1", "300ms dial 10.0.0.2", "400ms cancel", "400ms drop 10.0.0.1", "400ms drop 10.0.0.2")
		}
	}
}

// EP-6: a failure that is already on its way when cancel is called is ignored.
func TestCancelOverridesFailure(t *testing.T) {
	p := newPlan(t, nil, nil)
	var got result
	cancel := client(t, "tcp:10.0.0.1:80").Connect(p.Reactor, new(site), got.done)
	if err := p.Turn(0); err != nil { // it is refused in this turn, and would be told in the next
		t.Fatal(err)
	}
	if len(p.asked) != 1 || got.calls != 0 {
		t.Fatalf("dialled %v, %d results", p.asked, got.calls)
	}
	cancel()
	p.until(t, &got)
	if !errors.Is(got.err, reactor.ErrCancelled) || errors.Is(got.err, kernel.ErrRefused) {
		t.Errorf("got %v", got.err)
	}
}

// EP-11, HOST-4: the timeout is that of the look-up and all attempts together, of which
// each has its share; 30 s if nothing is said.
func TestTimeouts(t *testing.T) {
	silent := map[string]fate{"10.0.0.1": {after: never}, "10.0.0.2": {after: never}}
	names := map[string]string{"a.example": "10.0.0.1 10.0.0.2"}
	for _, c := range []struct {
		description string
		silent      bool
		want        string
	}{
		{"tcp:10.0.0.1:80", false, "0s dial 10.0.0.1; 30s drop 10.0.0.1; 30s failed"},
		{"tcp:10.0.0.1:80:timeout=5", false, "0s dial 10.0.0.1; 5s drop 10.0.0.1; 5s failed"},
		{"tcp:a.example:80:timeout=1", false, "0s dial 10.0.0.1; 300ms dial 10.0.0.2; 1s drop 10.0.0.1; 1s drop 10.0.0.2; 1s failed"},
		{"tcp:a.example:80:timeout=1:attemptDelay=-1", false, "0s dial 10.0.0.1; 500ms drop 10.0.0.1; 500ms dial 10.0.0.2; 1s drop 10.0.0.2; 1s failed"},
		{"tcp:a.example:80:timeout=1:attemptDelay=0.5", false, "0s dial 10.0.0.1; 500ms dial 10.0.0.2; 1s drop 10.0.0.1; 1s drop 10.0.0.2; 1s failed"},
		{"tcp:a.example:80", true, "30s failed"},
		{"tcp:a.example:80:timeout=250ms", true, "250ms failed"},
	} {
		p := newPlan(t, names, silent)
		p.hosts.silent = c.silent
		got := p.result(t, c.description)
		if !errors.Is(got.err, reactor.ErrConnectTimeout) || !errors.Is(got.err, kernel.ErrTimeout) || !errors.Is(got.err, reactor.ErrConnect) {
			t.Errorf("%s: %v", c.description, got.err)
		}
		if c.silent && p.hosts.given != 1 {
			t.Errorf("%s: the look-up was given up %d times", c.description, p.hosts.given)
		}
		p.expect(t, strings.Split(c.want, "; ")...)
	}
	// A negative timeout is no limit, for the look-up and for attempts.
	p := newPlan(t, names, map[string]fate{"10.0.0.1": {after: time.Hour}})
	p.hosts.delay = time.Hour
	if got := p.result(t, "tcp:a.example:80:timeout=-1:attemptDelay=-1"); got.err != nil {
		t.Error(got.err)
	}
	p.expect(t, "1h0m0s dial 10.0.0.1", "2h0m0s connected 10.0.0.1", "2h0m0s done")
}

// When the reactor stops, no further address is tried.
func TestReactorStops(t *testing.T) {
	p := newPlan(t, map[string]string{"a.example": "10.0.0.1 10.0.0.2"}, map[string]fate{"10.0.0.1": {after: never}})
	var got result
	client(t, "tcp:a.example:80").Connect(p.Reactor, new(site), got.done)
	due := false
	p.CallLater(100*ms, func() { due = true })
	for !due {
		if err := p.Turn(-1); err != nil {
			t.Fatal(err)
		}
	}
	p.Reactor.Close()
	_, several := errors.AsType[*reactor.AttemptsError](got.err)
	if got.calls != 1 || !errors.Is(got.err, reactor.ErrStopped) || several {
		t.Errorf("%d results, %v", got.calls, got.err)
	}
	p.expect(t, "0s dial 10.0.0.1", "100ms drop 10.0.0.1")
}

// EP-1: what the Go API was given wrongly makes the connect fail, later; EP-6: it
// can still be cancelled.
func TestConnectChecks(t *testing.T) {
	for want, e := range map[string]*std.TCPClient{
		"host: \"\" is not":                 {Port: 80},
		"host: \"fd00::1\" is not an IPv4":  {Host: "fd00::1", Port: 80, Family: reactor.IPv4},
		"host: \"a..example\" is not":       {Host: "a..example"},
		"port: there is no port 0":          {Host: "10.0.0.1"},
		"host: \"10.0.0.1\" is not an IPv6": {Host: "[::ffff:10.0.0.1]", Family: reactor.IPv6},
	} {
		p := newPlan(t, nil, nil)
		var got, given result
		e.Connect(p.Reactor, new(site), got.done)
		e.Connect(p.Reactor, new(site), given.done)()
		if got.calls != 0 {
			t.Error("done was called inside Connect")
		}
		p.until(t, &got)
		if !errors.Is(got.err, reactor.ErrConnect) || !errors.Is(got.err, endpoint.ErrArgument) || !strings.Contains(got.err.Error(), want) {
			t.Errorf("got %v; want %s", got.err, want)
		}
		if given.calls != 1 || !errors.Is(given.err, reactor.ErrCancelled) || len(p.asked) != 0 {
			t.Errorf("cancelled: %d results, %v", given.calls, given.err)
		}
	}
}

// EP-10, EP-11: arguments reach the kernel unchanged; GRAM-10, GRAM-11, GRAM-18:
// by the order and the names of the grammar. HOST-2: a bindAddress is any port of
// that address.
func TestArgumentsReachTheKernel(t *testing.T) {
	for description, want := range map[string]string{
		"tcp:80":                            "0.0.0.0:80 {Backlog:0 Bind: NoDelay:true KeepAlive:false}",
		"tcp:http":                          "0.0.0.0:80 {Backlog:0 Bind: NoDelay:true KeepAlive:false}",
		"tcp:80:127.0.0.1:5":                "127.0.0.1:80 {Backlog:5 Bind: NoDelay:true KeepAlive:false}",
		"tcp:80::5":                         "0.0.0.0:80 {Backlog:5 Bind: NoDelay:true KeepAlive:false}",
		"tcp:backlog=5:port=80":             "0.0.0.0:80 {Backlog:5 Bind: NoDelay:true KeepAlive:false}",
		"tcp:80:interface=[fe80::1%eth0]":   "[fe80::1%eth0]:80 {Backlog:0 Bind: NoDelay:true KeepAlive:false}",
		`tcp:80:\:\:1:nodelay=no`:           "[::1]:80 {Backlog:0 Bind: NoDelay:false KeepAlive:false}",
		"tcp4:80:interface=127.0.0.1":       "127.0.0.1:80 {Backlog:0 Bind: NoDelay:true KeepAlive:false}",
		"tcp4:80:[::ffff:127.0.0.1]":        "127.0.0.1:80 {Backlog:0 Bind: NoDelay:true KeepAlive:false}",
		"tcp6:80":                           "[::]:80 {Backlog:0 Bind: NoDelay:true KeepAlive:false}",
		"tcp6:80:5":                         "[::]:80 {Backlog:5 Bind: NoDelay:true KeepAlive:false}",
		"tcp6:80:5:[::1]:keepalive=1":       "[::1]:80 {Backlog:5 Bind: NoDelay:true KeepAlive:true}",
		"tcp6:80:interface=[::1]:nodelay=1": "[::1]:80 {Backlog:0 Bind: NoDelay:true KeepAlive:false}",
	} {
		p := newPlan(t, nil, nil)
		if _, err := server(t, description).Listen(p.Reactor, new(site)); err != nil {
			t.Error(err)
		}
		if got := fmt.Sprintf("%v %v", p.asked[0], p.options[0]); got != want {
			t.Errorf("%s: %s; want %s", description, got, want)
		}
	}
	for description, want := range map[string]string{
		"tcp:10.0.0.1:80": "10.0.0.1:80 {Backlog:0 Bind: NoDelay:true KeepAlive:false}",
		"tcp:10.0.0.1:port=80:bindAddress=10.9.9.9":                   "10.0.0.1:80 {Backlog:0 Bind:10.9.9.9:0 NoDelay:true KeepAlive:false}",
		"tcp:port=80:host=10.0.0.1:nodelay=true:keepalive=yes":        "10.0.0.1:80 {Backlog:0 Bind: NoDelay:true KeepAlive:true}",
		"tcp6:[fe80::1%eth0]:80:bindAddress=[fe80::2%eth0]:timeout=5": "[fe80::1%eth0]:80 {Backlog:0 Bind:[fe80::2%eth0]:0 NoDelay:true KeepAlive:false}",
		"tcp:a.example:80:bindAddress=[fd00::9]":                      "[fd00::1]:80 {Backlog:0 Bind:[fd00::9]:0 NoDelay:true KeepAlive:false}",
		"ssl:10.0.0.1:443:bindAddress=10.9.9.9":                       "10.0.0.1:443 {Backlog:0 Bind:10.9.9.9:0 NoDelay:true KeepAlive:false}", // GRAM-20
		"tls:host=10.0.0.1:port=https:bindAddress=10.9.9.9":           "10.0.0.1:443 {Backlog:0 Bind:10.9.9.9:0 NoDelay:true KeepAlive:false}", // GRAM-22
	} {
		p := newPlan(t, map[string]string{"a.example": "10.0.0.1 fd00::1"}, nil)
		p.result(t, description)
		if got := fmt.Sprintf("%v %v", p.asked[0], p.options[0]); got != want {
			t.Errorf("%s: %s; want %s", description, got, want)
		}
	}
}

// GRAM-7, GRAM-18: what the TCP types refuse. TCP-91: so they do an option that cannot be.
func TestTCPArgumentErrors(t *testing.T) {
	for description, want := range map[string]string{
		"tcp":                                       "endpoint tcp: port: missing: it is required",
		"tcp:80:127.0.0.1:5:6":                      `endpoint tcp: surplus argument "6"; by position it takes port, interface, backlog`,
		"tcp:80:interface=localhost":                `endpoint tcp: interface: "localhost" is not an IP address`,
		"tcp:80:interfase=127.0.0.1":                `endpoint tcp: interfase: no such argument (value "127.0.0.1"); did you mean "interface"?; it takes port, interface, backlog, nodelay, keepalive, keepidle, keepinterval, keepcount, usertimeout, sndbuf, rcvbuf, reuseport, maxconnections, refuseexcess, maxperpeer, acceptrate, acceptburst`,
		"tcp:80:backlog=many":                       `endpoint tcp: backlog: "many" is not a number`,
		"tcp:70000":                                 `endpoint tcp: port: "70000" is out of range 0..65535`,
		"tcp:no-such-service":                       `endpoint tcp: port: "no-such-service" is neither a port number nor a name: unknown service`,
		"tcp:127.0.0.1:80":                          `endpoint tcp: port: "127.0.0.1" is neither a port number nor a name: unknown service; to listen the port comes first, as in tcp:80:interface=127.0.0.1, and to connect the host, as in tcp:127.0.0.1:80`,
		"client tcp:80:localhost":                   `endpoint tcp: port: "localhost" is neither a port number nor a name: unknown service; to listen the port comes first, as in tcp:80:interface=127.0.0.1, and to connect the host, as in tcp:127.0.0.1:80`,
		"tcp4:80:interface=[::1]":                   `endpoint tcp4: interface: "::1" is not an IPv4 address`,
		"tcp6:80:interface=127.0.0.1":               `endpoint tcp6: interface: "127.0.0.1" is not an IPv6 address`,
		"tcp:80:family=6":                           `endpoint tcp: family: no such argument (value "6"); it takes port, interface, backlog, nodelay, keepalive, keepidle, keepinterval, keepcount, usertimeout, sndbuf, rcvbuf, reuseport, maxconnections, refuseexcess, maxperpeer, acceptrate, acceptburst`,
		"tcp:80:keepidle=30":                        `endpoint tcp: keepidle: 30s: invalid option: it needs keepalive=yes`,
		"tcp4:80:keepalive=1:keepcount=128":         `endpoint tcp4: keepcount: 128: invalid option: it is greater than 127`,
		"tcp6:80:keepalive=1:keepinterval=-1":       `endpoint tcp6: keepinterval: -1s: invalid option: it is negative`,
		"tcp:80:usertimeout=-1ms":                   `endpoint tcp: usertimeout: -1ms: invalid option: it is negative`,
		"tcp:80:rcvbuf=-1":                          `endpoint tcp: rcvbuf: -1: invalid option: it is negative`,
		"tcp:80:reuseport=maybe":                    `endpoint tcp: reuseport: "maybe" is not yes, no, true, false, 1 or 0`,
		"client tcp:a.example:80:sndbuf=2000000000": `endpoint tcp: sndbuf: 2000000000: invalid option: it is greater than 1073741824`,
		"client tcp:a.example:80:30":                `endpoint tcp: surplus argument "30"; by position it takes host, port`, // GRAM-18
		"client tcp:a.example":                      "endpoint tcp: port: missing: it is required",
		"client tcp:port=80":                        "endpoint tcp: host: missing: it is required",
		"client tcp4:[::1]:80":                      `endpoint tcp4: host: "::1" is not an IPv4 address`,
		"client tcp6:127.0.0.1:80":                  `endpoint tcp6: host: "127.0.0.1" is not an IPv6 address`,
		"client tcp:a:80:bindAddress=localhost":     `endpoint tcp: bindAddress: "localhost" is not an IP address`, // HOST-2
		"client tcp4:a:80:bindAddress=[::1]":        `endpoint tcp4: bindAddress: "::1" is not an IPv4 address`,
		"client tcp:127.0.0.1:80:bindAddress=[::1]": `endpoint tcp: bindAddress: "::1" is not of the family of "127.0.0.1"`,
	} {
		var err error
		if d, ok := strings.CutPrefix(description, "client "); ok {
			_, err = std.Schemes(nil).Client(d)
		} else {
			_, err = std.Schemes(nil).Server(d)
		}
		if err == nil || err.Error() != want || !errors.Is(err, endpoint.ErrArgument) {
			t.Errorf("%s:\ngot  %v\nwant %s", description, err, want)
		}
	}
}

// A place describes itself so that the registry reads the same place again.
func TestDescriptions(t *testing.T) {
	for in, want := range map[string]string{
		"TCP:http":                          "tcp:80",
		`tcp:80:\:\:1:5:nodelay=0`:          "tcp:80:interface=[::1]:backlog=5:nodelay=no",
		"tcp:80:nodelay=yes":                "tcp:80",
		"tcp4:80:127.0.0.1":                 "tcp4:80:interface=127.0.0.1",
		"tcp6:80:5:[fe80::1%eth0]":          "tcp6:80:backlog=5:interface=[fe80::1%eth0]",
		`tcp6:80:interface=fe80\:\:1%a]\\b`: `tcp6:80:interface=\[fe80\:\:1%a]\\b]`,
	} {
		e := server(t, in)
		if e.String() != want || server(t, want).String() != want {
			t.Errorf("%s describes itself as %s; want %s", in, e, want)
		}
	}
	for in, want := range map[string]string{
		"TCP:a.example:http:timeout=90s": "tcp:a.example:80:timeout=90",
		"tcp4:a.example:80:timeout=0.5":  "tcp4:a.example:80:timeout=500ms",
		`tcp6:host=\:\:1:port=80`:        "tcp6:[::1]:80",
		"tcp:[fe80::1%eth0]:80:bindAddress=[fe80::2%eth0]:attemptDelay=1:keepalive=yes": "tcp:[fe80::1%eth0]:80:bindAddress=[fe80::2%eth0]:attemptDelay=1:keepalive=yes",
	} {
		e := client(t, in)
		if e.String() != want || client(t, want).String() != want {
			t.Errorf("%s describes itself as %s; want %s", in, e, want)
		}
	}
}
