package std_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// gram is a PacketProtocol that notes what it is told, and answers if echo is set.
type gram struct {
	t       reactor.PacketTransport
	echo    bool
	got     []string
	from    []kernel.Addr
	refused []error
	started int
	stopped []error
	onStart func()
}

func (g *gram) StartProtocol(t reactor.PacketTransport) {
	g.t = t
	g.started++
	if g.onStart != nil {
		g.onStart()
	}
}

func (g *gram) DatagramReceived(p []byte, from kernel.Addr) {
	g.got, g.from = append(g.got, string(p)), append(g.from, from)
	if g.echo {
		g.t.WriteTo(p, from)
	}
}

func (g *gram) DatagramRefused(_ []byte, _ kernel.Addr, err error) {
	g.refused = append(g.refused, err)
}

func (g *gram) StopProtocol(err error) { g.stopped = append(g.stopped, err) }

func packetServer(t *testing.T, description string) endpoint.PacketServer {
	t.Helper()
	e, err := std.Schemes(nil).PacketServer(description)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func packetClient(t *testing.T, description string) endpoint.PacketClient {
	t.Helper()
	e, err := std.Schemes(nil).PacketClient(description)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func listenPacket(t *testing.T, r *reactor.Reactor, description string, p reactor.PacketProtocol) *reactor.PacketPort {
	t.Helper()
	port, err := packetServer(t, description).ListenPacket(r, p)
	if err != nil {
		t.Fatalf("%s: %v", description, err)
	}
	return port
}

// packetResult is what done of ConnectPacket gets.
type packetResult struct {
	port  *reactor.PacketPort
	err   error
	calls int
}

func (g *packetResult) done(port *reactor.PacketPort, err error) {
	g.port, g.err = port, err
	g.calls++
}

// connectPacket connects p, and turns r until that has succeeded.
func connectPacket(t *testing.T, r *reactor.Reactor, description string, p reactor.PacketProtocol) *reactor.PacketPort {
	t.Helper()
	var got packetResult
	packetClient(t, description).ConnectPacket(r, p, got.done)
	if got.calls > 0 {
		t.Errorf("EP-23: done was called inside ConnectPacket")
	}
	until(t, r, func() bool { return got.calls > 0 })
	if got.err != nil || got.port == nil {
		t.Fatalf("%s: %v", description, got.err)
	}
	return got.port
}

func portNumber(a kernel.Addr) string { return fmt.Sprint(a.Port()) }

// Datagrams go to the place and answers come back, on every kernel (EP-22, EP-23, EP-26, EP-27, EP-28). The port is a listener.
func TestPacketPlaces(t *testing.T) {
	for name, w := range testworld.Worlds() {
		for _, c := range []struct{ listen, connect string }{
			{"udp:0:127.0.0.1", "udp:127.0.0.1:PORT"},
			{"udp4:0:interface=127.0.0.1:rcvbuf=100000", "udp4:127.0.0.1:PORT:bindAddress=127.0.0.1:sndbuf=100000"},
			{"udp:0:[::1]", "udp:[::1]:PORT"},
			{"udp6:0:[::1]", "udp6:srv.example:PORT:bindAddress=[::1]"},
			{"udp:0:interface=127.0.0.1", "udp:srv.example:PORT"}, // of both, IPv4
			{"unixgram:PATH", "unixgram:PATH:bindAddress=PATH.client:mode=600"},
			{"unixgram:PATH:600:no", "unixgram:path=PATH:bindAddress=PATH.client"},
		} {
			t.Run(name+"/"+c.listen, func(t *testing.T) {
				path := socketPath(t)
				in := func(d, port string) string {
					return strings.NewReplacer("PATH", path, "PORT", port).Replace(d)
				}
				r := w.New(t, reactor.Config{Resolver: &hosts{names: map[string]string{"srv.example": "::1 127.0.0.1"}}})
				srv, cli := &gram{echo: true}, &gram{}
				port := listenPacket(t, r, in(c.listen, ""), srv)
				if srv.started != 1 || port.Addr() != srv.t.Local() {
					t.Fatalf("EP-22: started %d times, at %v", srv.started, port.Addr())
				}
				mine := connectPacket(t, r, in(c.connect, portNumber(port.Addr())), cli)
				if cli.started != 1 || mine.Remote() != port.Addr() {
					t.Fatalf("EP-23: started %d times, the peer is %v", cli.started, mine.Remote())
				}
				mine.Write([]byte("hello"))
				until(t, r, func() bool { return len(cli.got) == 1 })
				if cli.got[0] != "hello" || srv.got[0] != "hello" || srv.from[0] != mine.Local() && !mine.Local().IP.Addr().IsUnspecified() {
					t.Errorf("got %q from %v and %q; we are %v", srv.got, srv.from, cli.got, mine.Local())
				}
				stopped := 0
				for _, l := range []endpoint.Listener{port, mine} {
					l.StopListening(func(error) { stopped++ })
				}
				until(t, r, func() bool { return stopped == 2 })
				if len(srv.stopped) != 1 || len(cli.stopped) != 1 || len(r.DelayedCalls()) != 0 {
					t.Errorf("stopped %v and %v, %d delayed calls are left", srv.stopped, cli.stopped, len(r.DelayedCalls()))
				}
			})
		}
	}
}

// EP-26: a place has one address: loopback's, if the set says so and the description does not; 127.0.0.1, or ::1 of udp6.
func TestPacketLoopback(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			for description, want := range map[string][2]string{
				"udp:0":                   {"0.0.0.0", "127.0.0.1"},
				"udp4:0":                  {"0.0.0.0", "127.0.0.1"},
				"udp6:0":                  {"::", "::1"},
				"udp:0:interface=0.0.0.0": {"0.0.0.0", "0.0.0.0"},
				"udp:0:interface=[::1]":   {"::1", "::1"},
			} {
				for i, loopback := range []bool{false, true} {
					e, err := std.Schemes(&std.Options{Loopback: loopback}).PacketServer(description)
					if err != nil {
						t.Fatal(err)
					}
					port, err := e.ListenPacket(r, new(gram))
					if err != nil || port.Addr().Host() != want[i] {
						t.Errorf("EP-26: %s, loopback %v: %v, %v; want %s", description, loopback, port, err, want[i])
						continue
					}
					port.StopListening(nil)
				}
			}
			testworld.Turns(t, r, 2)
		})
	}
}

// EP-22: what cannot be opened is ErrListen, and the protocol is not started.
func TestListenPacketFails(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			taken := listenPacket(t, r, "udp:0:127.0.0.1", new(gram))
			path := socketPath(t)
			listenPacket(t, r, "unixgram:"+path+":lockfile=no", new(gram))
			for _, c := range []struct {
				e  endpoint.PacketServer
				is error
			}{
				{packetServer(t, "udp:"+portNumber(taken.Addr())+":127.0.0.1"), kernel.ErrAddrInUse},
				{packetServer(t, "unixgram:"+path+":lockfile=no"), kernel.ErrAddrInUse},
				{packetServer(t, "udp:0:interface=0.0.0.0:groups=224.9.9.9@nothere9"), kernel.ErrNoInterface},
				{packetServer(t, "udp6:0:interface=[::]:groups=[ff02::fb%nothere9]"), kernel.ErrNoInterface},
				{&std.UDPServer{Family: reactor.IPv4, Interface: netip.IPv6Loopback()}, endpoint.ErrArgument},
				{&std.UNIXGramServer{}, endpoint.ErrArgument},
			} {
				g := new(gram)
				port, err := c.e.ListenPacket(r, g)
				if port != nil || !errors.Is(err, reactor.ErrListen) || !errors.Is(err, c.is) || g.started != 0 {
					t.Errorf("EP-22: %v: %v, %v, started %d times; want %v", c.e, port, err, g.started, c.is)
				}
				if e, ok := errors.AsType[*kernel.GroupError](err); ok && (e.Group.Interface != "nothere9" || e.Group.IP.Zone() != "") {
					t.Errorf("EP-26: %v: the group is %+v", c.e, e.Group)
				}
			}
		})
	}
}

// EP-23: what cannot be connected fails later, as DialPacket fails.
func TestConnectPacketFails(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{Resolver: &hosts{names: map[string]string{"six.example": "::1"}}})
			taken := listenPacket(t, r, "udp:0:127.0.0.1", new(gram))
			for _, c := range []struct {
				e  endpoint.PacketClient
				is error
			}{
				{packetClient(t, "unixgram:"+socketPath(t)), fs.ErrNotExist},
				{packetClient(t, "udp:nobody.example:9"), reactor.ErrUnknownHost},
				{packetClient(t, "udp4:six.example:9"), reactor.ErrUnknownHost},
				{packetClient(t, "udp:six.example:9:bindAddress=127.0.0.1"), reactor.ErrUnknownHost},
				{packetClient(t, "udp:127.0.0.1:9:bindAddress=127.0.0.1:bindPort="+portNumber(taken.Addr())), kernel.ErrAddrInUse},
				{&std.UDPClient{Host: "127.0.0.1"}, endpoint.ErrArgument},
				{&std.UNIXGramClient{}, endpoint.ErrArgument},
			} {
				g, got := new(gram), packetResult{}
				cancel := c.e.ConnectPacket(r, g, got.done)
				if got.calls != 0 {
					t.Errorf("EP-23: %v: done was called inside", c.e)
				}
				until(t, r, func() bool { return got.calls > 0 })
				if got.port != nil || !errors.Is(got.err, reactor.ErrConnect) || !errors.Is(got.err, c.is) || g.started != 0 {
					t.Errorf("EP-23: %v: %v, %v, started %d times; want %v", c.e, got.port, got.err, g.started, c.is)
				}
				cancel()
				if testworld.Turns(t, r, 2); got.calls != 1 || len(r.DelayedCalls()) != 0 {
					t.Errorf("EP-24: %v: %d calls of done, %d delayed calls", c.e, got.calls, len(r.DelayedCalls()))
				}
			}
		})
	}
}

// EP-23: the error of a broadcast address says what it needs. One of another cause does not.
func TestConnectPacketBroadcast(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			connect := func(text string) error {
				var got packetResult
				packetClient(t, text).ConnectPacket(r, new(gram), got.done)
				until(t, r, func() bool { return got.calls > 0 })
				return got.err
			}
			if err := connect("udp:127.255.255.255:9"); !errors.Is(err, kernel.ErrPermission) || !errors.Is(err, reactor.ErrConnect) || !strings.Contains(err.Error(), "broadcast=yes") {
				t.Errorf("EP-23: %v; want the remedy, broadcast=yes", err)
			}
			if err := connect("udp:127.255.255.255:9:broadcast=yes"); err != nil {
				t.Errorf("with broadcast=yes: %v", err)
			}
			if err := connect("udp:127.0.0.1:9:bindAddress=192.0.2.77"); err == nil || strings.Contains(err.Error(), "broadcast") {
				t.Errorf("EP-23: of another cause: %v", err)
			}
		})
	}
}

// EP-24: a cancel before the result ends in ErrCancelled: during the look-up, in StartProtocol, and at once. EP-23: the look-up
// has a limit.
func TestConnectPacketCancel(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			h := &hosts{silent: true}
			r := w.New(t, reactor.Config{Resolver: h})
			listenPacket(t, r, "udp:0:127.0.0.1", new(gram))
			cancelled := func(what string, got packetResult, g *gram, starts int) {
				t.Helper()
				if got.calls != 1 || got.port != nil || !errors.Is(got.err, reactor.ErrCancelled) || !errors.Is(got.err, reactor.ErrConnect) || g.started != starts || len(g.stopped) != starts {
					t.Errorf("EP-24: %s: %d calls, %v, %v; started %d times, stopped %v", what, got.calls, got.port, got.err, g.started, g.stopped)
				}
				if n := len(r.DelayedCalls()); n != 0 {
					t.Errorf("EP-24: %s: %d delayed calls are left", what, n)
				}
			}
			g, got := new(gram), packetResult{}
			cancel := packetClient(t, "udp:srv.example:9").ConnectPacket(r, g, got.done)
			testworld.Turns(t, r, 2)
			cancel()
			cancel()
			if got.calls != 0 {
				t.Error("EP-24: done was called inside cancel")
			}
			testworld.Turns(t, r, 2)
			cancelled("during the look-up", got, g, 0)
			if h.given != 1 {
				t.Errorf("EP-24: %d look-ups given up", h.given)
			}
			g, got = new(gram), packetResult{}
			cancel = packetClient(t, "udp:127.0.0.1:9").ConnectPacket(r, g, got.done)
			cancel()
			testworld.Turns(t, r, 3)
			cancelled("at once", got, g, 0)
			g, got = new(gram), packetResult{}
			g.onStart = func() { cancel() }
			cancel = packetClient(t, "udp:127.0.0.1:9").ConnectPacket(r, g, got.done)
			testworld.Turns(t, r, 4)
			cancelled("in StartProtocol", got, g, 1)

			g, got = new(gram), packetResult{}
			began := r.Now()
			packetClient(t, "udp:srv.example:9:timeout=0.05").ConnectPacket(r, g, got.done)
			until(t, r, func() bool { return got.calls > 0 })
			if !errors.Is(got.err, reactor.ErrConnectTimeout) || r.Now()-began < 50*time.Millisecond || g.started != 0 || h.given != 2 {
				t.Errorf("EP-23: after %v: %v; %d look-ups given up", r.Now()-began, got.err, h.given)
			}
		})
	}
}

// EP-26: a place joins its groups before the protocol starts, and receives what is sent to them; a client chooses the interface
// and how far it goes (EP-27).
func TestPacketGroups(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			lo := "lo"
			if w.Simulated() {
				lo = "127.0.0.1"
			}
			r := w.New(t, reactor.Config{})
			srv := &gram{}
			port := listenPacket(t, r, "udp:0:interface=0.0.0.0:groups=239.255.77.1@"+lo+",239.255.77.2@"+lo+":ttl=0", srv)
			m, err := port.Multicast()
			if err != nil {
				t.Fatal(err)
			}
			if n, err := m.MulticastTTL(); n != 0 || err != nil {
				t.Errorf("EP-26: ttl=0 is %d, %v", n, err)
			}
			if err := port.Join(kernel.Group{IP: netip.MustParseAddr("239.255.77.2"), Interface: lo}); !errors.Is(err, kernel.ErrJoined) {
				t.Errorf("EP-26: joining again: %v", err)
			}
			cli := connectPacket(t, r, "udp:239.255.77.2:"+portNumber(port.Addr())+":ttl=3:groupInterface="+lo, new(gram))
			if m, _ := cli.Multicast(); m == nil {
				t.Error("EP-27: no multicast")
			} else if n, err := m.MulticastTTL(); n != 3 || err != nil {
				t.Errorf("EP-27: ttl=3 is %d, %v", n, err)
			}
			cli.Write([]byte("all"))
			until(t, r, func() bool { return len(srv.got) > 0 })
			if srv.got[0] != "all" {
				t.Errorf("EP-26: got %q", srv.got)
			}
		})
	}
}

// Arguments are what the structs say, and descriptions are written back as they were meant (EP-26, EP-27, EP-28).
func TestPacketArguments(t *testing.T) {
	for in, want := range map[string]string{
		"udp:53":                               "udp:53",
		"UDP:domain:127.0.0.1":                 "udp:53:interface=127.0.0.1",
		"udp:tftp":                             "udp:69", // a service of UDP alone
		"udp6:53:[::1]:sndbuf=5:broadcast=yes": "udp6:53:interface=[::1]:broadcast=yes:sndbuf=5",
		"udp:5353:groups=224.0.0.251@eth0,224.0.0.1:ttl=0:shared=1":         "udp:5353:groups=224.0.0.251@eth0,224.0.0.1:ttl=0:shared=yes",
		"udp6:5353:groups=[ff02::fb@eth0,ff02::1%eth1]:groupInterface=eth0": "udp6:5353:groups=[ff02::fb@eth0,ff02::1%eth1]:groupInterface=eth0",
		`udp6:5353:groups=ff02\:\:fb`:                                       `udp6:5353:groups=ff02\:\:fb`,
		"udp:5353:interface=239.1.2.3:groups=239.1.2.3":                     "udp:5353:interface=239.1.2.3:groups=239.1.2.3",
		"unixgram:/run/x:660:no:owner=www":                                  "unixgram:/run/x:mode=660:lockfile=no:owner=www",
		"unixgram:@x:rcvbuf=5":                                              "unixgram:@x:rcvbuf=5",
	} {
		if got := packetServer(t, in).String(); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]string{
		"udp:a.example:53:timeout=5":                  "udp:a.example:53:timeout=5",
		"udp6:[::1]:53:bindAddress=[::1]:bindPort=68": "udp6:[::1]:53:bindAddress=[::1]:bindPort=68",
		"udp:224.0.0.1:9:ttl=255:groupInterface=eth0": "udp:224.0.0.1:9:ttl=255:groupInterface=eth0",
		"unixgram:/run/x:bindAddress=/run/y:mode=600": "unixgram:/run/x:bindAddress=/run/y:mode=600",
	} {
		if got := packetClient(t, in).String(); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
	o := std.Options{Packets: reactor.PacketConfig{MaxQueued: 5, PacketOptions: kernel.PacketOptions{Broadcast: true, RecvBuffer: 7}}}
	if e, err := std.Schemes(&o).PacketServer("udp:1:rcvbuf=9"); err != nil || e.(*std.UDPServer).MaxQueued != 5 || !e.(*std.UDPServer).Broadcast || e.(*std.UDPServer).RecvBuffer != 9 {
		t.Errorf("with the options of a set: %+v, %v", e, err)
	}
	if e, err := std.Schemes(&o).PacketServer("unixgram:/run/x"); err != nil || e.String() != "unixgram:/run/x:rcvbuf=7" {
		t.Errorf("with the options of a set: %v, %v", e, err)
	}
	if e, err := std.Schemes(&o).PacketClient("unixgram:/run/x"); err != nil || e.String() != "unixgram:/run/x:rcvbuf=7" {
		t.Errorf("with the options of a set: %v, %v", e, err)
	}
}

// What cannot work is an ArgumentError that names the argument, when the description is read.
func TestPacketArgumentErrors(t *testing.T) {
	long := strings.Repeat("x", 108)
	local := std.Schemes(&std.Options{Loopback: true})
	check := func(in, argument string, err error) {
		t.Helper()
		if e, ok := errors.AsType[*endpoint.ArgumentError](err); !ok || e.Argument != argument {
			t.Errorf("%s: %v, want an error about %s", in, err, argument)
		}
	}
	for in, argument := range map[string]string{
		"udp": "port", "udp:70000": "port", "udp4:1:[::1]": "interface", "udp6:1:127.0.0.1": "interface", "udp:1:sndbuf=-1": "sndbuf", "udp:1:rcvbuf=-1": "rcvbuf",
		"udp:1:ttl=256": "ttl", "udp:1:ttl=-1": "ttl", "udp:1:ttl=far": "ttl", "udp:1:groups=10.0.0.1": "groups", "udp:1:groups=": "", "udp:1:groups=a.example": "groups",
		"udp:1:groups=[ff02::1]": "groups", "udp6:1:groups=224.0.0.1": "groups", "udp:1:interface=127.0.0.1:groups=224.0.0.1": "groups", "udp6:1:groups=[ff02::1%a@b]": "groups",
		"unixgram:": "path", "unixgram:" + long: "path", "unixgram:@": "path", "unixgram:/run/x:888": "mode", "unixgram:@x:mode=600": "mode", "unixgram:@x:owner=a": "owner", "unixgram:@x:group=a": "group",
		"unixgram:/run/x:sndbuf=-1": "sndbuf", "unixgram:/run/x:broadcast=1": "broadcast",
	} {
		_, err := std.Schemes(nil).PacketServer(in)
		if argument == "" {
			if err != nil {
				t.Errorf("%s: %v", in, err)
			}
			continue
		}
		check(in, argument, err)
	}
	for in, argument := range map[string]string{
		"udp:a.example": "port", "udp:a.example:0": "port", "udp:a b:1": "host", "udp4:[::1]:1": "host", "udp6:127.0.0.1:1": "host", "udp6:a.example:1:bindAddress=127.0.0.1": "bindAddress",
		"udp:127.0.0.1:1:bindAddress=[::1]": "bindAddress", "udp:127.0.0.1:1:ttl=256": "ttl", "udp:127.0.0.1:1:rcvbuf=-1": "rcvbuf", "udp:127.0.0.1:1:groups=224.0.0.1": "groups",
		"unixgram:": "path", "unixgram:/run/x:bindAddress=" + long: "bindAddress", "unixgram:/run/x:mode=600": "mode", "unixgram:/run/x:bindAddress=@a:mode=600": "mode", "unixgram:/run/x:rcvbuf=-1": "rcvbuf",
	} {
		_, err := std.Schemes(nil).PacketClient(in)
		check(in, argument, err)
	}
	// A socket on loopback gets nothing of a group: the error says what to do.
	_, err := local.PacketServer("udp:5353:groups=224.0.0.251")
	if check("on loopback", "groups", err); !strings.Contains(fmt.Sprint(err), "say interface=0.0.0.0") {
		t.Errorf("EP-26: %v", err)
	}
	_, err = local.PacketServer("udp6:5353:groups=[ff02::fb]")
	if check("on loopback", "groups", err); !strings.Contains(fmt.Sprint(err), "say interface=[::]") {
		t.Errorf("EP-26: %v", err)
	}
	for want, err := range map[string]error{
		"udp takes datagrams, not connections":      func() error { _, err := local.Server("udp:53"); return err }(),
		"unixgram takes datagrams, not connections": func() error { _, err := local.Client("unixgram:/run/x"); return err }(),
		"tcp takes connections, not datagrams":      func() error { _, err := local.PacketServer("tcp:53"); return err }(),
		"unix takes connections, not datagrams":     func() error { _, err := local.PacketClient("unix:/run/x"); return err }(),
	} {
		if !errors.Is(err, endpoint.ErrKind) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("EP-25: %v, want %s", err, want)
		}
	}
}

// EP-28: the file has the mode of the description, a file that a dead process has left is removed, and the end removes both files.
func TestUNIXGramFiles(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			r := w.New(t, reactor.Config{})
			if err := os.Symlink("999999999", path+".lock"); err != nil {
				t.Fatal(err)
			}
			left, err := packetServer(t, "unixgram:"+path+":lockfile=no").ListenPacket(r, new(gram))
			if err != nil {
				t.Fatal(err)
			}
			// Somebody's file at which nobody is: keep it when its socket closes.
			if err := os.Rename(path, path+".kept"); err != nil {
				t.Fatal(err)
			}
			left.StopListening(nil)
			testworld.Turns(t, r, 2)
			if err := os.Rename(path+".kept", path); err != nil {
				t.Fatal(err)
			}
			port := listenPacket(t, r, "unixgram:"+path+":640", new(gram))
			if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("EP-28: %v, %v", info, err)
			}
			if _, err := os.Lstat(path + ".lock"); err != nil {
				t.Errorf("EP-28: %v", err)
			}
			port.StopListening(nil)
			testworld.Turns(t, r, 2)
			for _, name := range []string{path, path + ".lock"} {
				if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("EP-28: %s: %v", name, err)
				}
			}
		})
	}
}
