package reactor_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// What a callback writes goes to the system in one call when the callback has ended, in order, and what was
// written in a posted function before the loop waits. The caller's memory is free at once.
func TestPacketGathered(t *testing.T) {
	g := &gram{}
	r, s, p := scripted(t, udp(0), g, nil)
	buf := make([]byte, 1)
	g.onData = func([]byte, kernel.Addr) {
		for i := range 10 {
			buf[0] = byte('0' + i)
			if err := g.t.WriteTo(buf, udp(9)); err != nil {
				t.Error(err)
			}
		}
		if s.calls != 0 {
			t.Error("sent inside the callback")
		}
	}
	s.comes("x")
	turns(r, 1)
	if strings.Join(s.texts(), "") != "0123456789" || s.calls != 1 {
		t.Errorf("%q in %d calls", s.texts(), s.calls)
	}
	r.Post(func() { p.WriteVec([][]byte{[]byte("a"), nil, []byte("bc")}, udp(9)) })
	turns(r, 1)
	if s.sent[10].Peer != udp(9) || string(s.sent[10].Data) != "abc" {
		t.Errorf("UDP-23: %v", s.sent[10])
	}
	for i := range 1000 { // more than is gathered
		p.WriteTo([]byte(fmt.Sprint(i)), udp(uint16(1+i)))
	}
	turns(r, 1)
	for i := range 1000 {
		if got := s.sent[11+i]; string(got.Data) != fmt.Sprint(i) || got.Peer != udp(uint16(1+i)) {
			t.Fatalf("datagram %d is %q to %v", i, got.Data, got.Peer)
		}
	}
	if st := p.Stats(); st.Sent != 1011 || st.Queued != 0 || st.Waited != 0 {
		t.Errorf("%+v", st)
	}
}

// Two ports that write in turn send everything.
func TestPacketTwoPorts(t *testing.T) {
	r, s, p := scripted(t, udp(0), &gram{}, nil)
	q, err := r.ListenPacket(udp(0), &gram{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		p.WriteTo([]byte{byte(i)}, udp(9))
		q.WriteTo([]byte{byte(i + 10)}, udp(9))
	}
	turns(r, 1)
	if len(s.sent) != 5 || len(s.k.socks[1].sent) != 5 || s.k.socks[1].sent[4].Data[0] != 14 {
		t.Errorf("%d and %d sent", len(s.sent), len(s.k.socks[1].sent))
	}
}

// A write is refused at once for what is wrong with its arguments (UDP-18, UDP-19, UDP-20, UDP-21, UDP-26).
func TestPacketArguments(t *testing.T) {
	_, s, p := scripted(t, udp(0), &gram{}, nil)
	bad := func(what string, err, want error) {
		t.Helper()
		var op *reactor.OpError
		if !errors.Is(err, want) || !errors.As(err, &op) || errors.Is(err, reactor.ErrLost) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	v6 := kernel.UDPAddr(netip.IPv6Loopback(), 7)
	bad("UDP-18: no address", p.WriteTo(nil, kernel.Addr{}), kernel.ErrInvalidAddr)
	bad("UDP-18: no peer", p.Write(nil), reactor.ErrNoPeer)
	name := kernel.HostAddr("localhost", 7)
	name.Net = kernel.UDP
	bad("UDP-19: a name", p.WriteTo(nil, name), kernel.ErrInvalidAddr)
	bad("UDP-20: IPv6", p.WriteTo(nil, v6), kernel.ErrInvalidAddr)
	bad("TCP", p.WriteTo(nil, loopback), kernel.ErrUnsupported)
	bad("port 0", p.WriteTo(nil, udp(0)), kernel.ErrInvalidAddr)
	bad("UNIX", p.WriteTo(nil, kernel.UNIXDatagramAddr("/x")), kernel.ErrInvalidAddr)
	bad("UDP-21: too long", p.WriteTo(make([]byte, kernel.MaxDatagram+1), udp(7)), kernel.ErrMessageSize)
	bad("UDP-25: a name", p.Connect(name), kernel.ErrInvalidAddr)
	if err := p.Connect(udp(7)); err != nil {
		t.Error(err)
	}
	bad("UDP-25: connected twice", p.Connect(udp(7)), reactor.ErrAlreadyConnected)
	bad("UDP-26: another address", p.WriteTo(nil, udp(8)), kernel.ErrInvalidAddr)
	if s.calls != 0 {
		t.Error("something was sent")
	}
	for _, err := range []error{p.Write([]byte("1")), p.WriteTo([]byte("2"), udp(7)), p.WriteTo(make([]byte, kernel.MaxDatagram), kernel.Addr{})} {
		if err != nil {
			t.Errorf("UDP-26: %v", err)
		}
	}
	turns(p.Reactor(), 1)
	if len(s.sent) != 3 || s.sent[1].Peer != (kernel.Addr{}) || p.Remote() != udp(7) {
		t.Errorf("UDP-26: sent %v", s.texts())
	}
}

// What the system refuses is told later, never inside the write, and what is behind it is sent (UDP-21).
func TestPacketSendFails(t *testing.T) {
	g := &gram{}
	r, s, p := scripted(t, udp(0), g, nil)
	s.refuse = func(p kernel.Packet) error {
		if p.Peer.Port() == 2 {
			return &kernel.SysError{Op: kernel.OpWrite, Kind: kernel.ErrPermission}
		}
		return nil
	}
	big := strings.Repeat("x", 60000)
	for i := range 4 { // more than is gathered, so some are sent inside the write
		p.WriteTo([]byte(fmt.Sprint(i, big)), udp(uint16(i)+1))
		if len(g.failed) > 0 {
			t.Fatal("UDP-21: told inside the write")
		}
	}
	turns(r, 2)
	if len(s.sent) != 3 || len(g.failed) != 1 || g.failed[0] != "1"+big+" to 127.0.0.1:2" || !errors.Is(g.failures[0], kernel.ErrPermission) {
		t.Errorf("UDP-21: %d sent, failed %.10q, %v", len(s.sent), g.failed, g.failures)
	}
	if st := p.Stats(); st.Sent != 3 || st.Failed != 1 {
		t.Errorf("%+v", st)
	}
}

// While the system takes nothing, datagrams wait in order, up to the limit, and go when there is room. Beyond
// the limit a write is refused, and the counters account for every one.
func TestPacketQueue(t *testing.T) {
	g := &gram{}
	r, s, p := scripted(t, udp(0), g, &reactor.PacketConfig{MaxQueued: 10 * 65})
	room := 2
	s.refuse = func(kernel.Packet) error {
		if room == 0 {
			return kernel.ErrAgain
		}
		room--
		return nil
	}
	write := func(i int) error { return p.WriteTo([]byte{byte('a' + i)}, udp(9)) }
	write(0)
	turns(r, 1)
	for i := 1; i < 6; i++ {
		write(i)
	}
	turns(r, 1)
	if s.armed&kernel.Writable == 0 || p.Stats().Queued != 4 {
		t.Fatalf("armed %v, %+v", s.armed, p.Stats())
	}
	refused := 0
	for i := 6; i < 16; i++ {
		if err := write(i); errors.Is(err, reactor.ErrQueueFull) {
			refused++
		} else if err != nil {
			t.Error(err)
		}
	}
	turns(r, 1)
	if st := p.Stats(); refused != 4 || st.QueueFull != 4 || st.Queued != 10 || st.Waited != 10 {
		t.Errorf("%d refused, %+v", refused, st)
	}
	room = 3
	s.refuse = nil
	turns(r, 2)
	if got := strings.Join(s.texts(), ""); got != "abcdefghijkl" || s.armed&kernel.Writable != 0 {
		t.Errorf("sent %q, armed %v", got, s.armed)
	}
	if st := p.Stats(); st.Sent != 12 || st.Queued != 0 || st.Dropped != 0 || st.Failed != 0 {
		t.Errorf("%+v", st)
	}
}

// What does not fit into the queue together with others of one callback is dropped, and told.
func TestPacketQueueOverflow(t *testing.T) {
	for most, want := range map[int]error{2 * 65: reactor.ErrQueueFull, -1: kernel.ErrAgain} {
		g := &gram{}
		r, s, p := scripted(t, udp(0), g, &reactor.PacketConfig{MaxQueued: most})
		s.refuse = func(kernel.Packet) error { return kernel.ErrAgain }
		for i := range 5 {
			p.WriteTo([]byte{byte('a' + i)}, udp(9))
		}
		turns(r, 2)
		kept := max(most/65, 0)
		if st := p.Stats(); st.Queued != kept || int(st.Dropped) != 5-kept || len(g.failed) != 5-kept || !errors.Is(g.failures[0], want) {
			t.Errorf("MaxQueued %d: %+v, failed %q %v", most, st, g.failed, g.failures)
		}
	}
}

// A callback that writes without an end while the system takes nothing, and nothing may wait, keeps a limited number of
// failures: further writes are refused, and the counters account for every one.
func TestPacketFailuresLimited(t *testing.T) {
	g := &gram{}
	r, s, p := scripted(t, udp(0), g, &reactor.PacketConfig{MaxQueued: -1})
	s.refuse = func(kernel.Packet) error { return kernel.ErrAgain }
	refused, n := 0, 10_000
	for range n {
		switch err := p.WriteTo(make([]byte, 1000), udp(9)); {
		case errors.Is(err, reactor.ErrQueueFull):
			refused++
		case err != nil:
			t.Fatal(err)
		}
	}
	turns(r, 2)
	st := p.Stats()
	if kept := len(g.failed); kept < 900 || kept > 1300 || int(st.Dropped) != kept || int(st.QueueFull) != refused || refused+kept != n {
		t.Errorf("%d failures told, %d refused, %+v", kept, refused, st)
	}
	if err := p.WriteTo(nil, udp(9)); err != nil {
		t.Errorf("after they were told: %v", err)
	}
}

// The error of StopListening says how many datagrams were not sent since, and why: here the system refuses one, and one
// has no room.
func TestPacketStopTellsWhy(t *testing.T) {
	for want, refuse := range map[error]error{kernel.ErrPermission: &kernel.SysError{Op: kernel.OpWrite, Kind: kernel.ErrPermission}, kernel.ErrAgain: kernel.ErrAgain} {
		r, s, p := scripted(t, udp(0), &gram{}, &reactor.PacketConfig{MaxQueued: -1})
		s.refuse = func(kernel.Packet) error { return refuse }
		p.WriteTo([]byte("before"), udp(9))
		turns(r, 2)
		var got error
		p.WriteTo([]byte("x"), udp(9))
		p.StopListening(func(err error) { got = err })
		turns(r, 2)
		var op *reactor.OpError
		if !errors.As(got, &op) || op.Op != "send" || !errors.Is(got, want) || errors.Is(got, reactor.ErrSendTimeout) || !strings.Contains(got.Error(), "1 datagrams") {
			t.Errorf("done got %v, want %v", got, want)
		}
	}
}

// A port whose reactor ends tells of what waits that the reactor has stopped, not that it took too long.
func TestPacketQueueAtEnd(t *testing.T) {
	g := &gram{}
	r, s, p := scripted(t, udp(0), g, nil)
	s.refuse = func(kernel.Packet) error { return kernel.ErrAgain }
	p.WriteTo([]byte("x"), udp(9))
	turns(r, 1)
	r.Close()
	if len(g.failures) != 1 || !errors.Is(g.failures[0], reactor.ErrStopped) || errors.Is(g.failures[0], reactor.ErrSendTimeout) || p.Stats().Dropped != 1 {
		t.Errorf("%v, %+v", g.failures, p.Stats())
	}
}

// A datagram waits for QueueTimeout and is then dropped; those written later wait on.
func TestPacketQueueTimeout(t *testing.T) {
	g := &gram{}
	r, s, p := scripted(t, udp(0), g, &reactor.PacketConfig{QueueTimeout: time.Second})
	s.refuse = func(kernel.Packet) error { return kernel.ErrAgain }
	p.WriteTo([]byte("a"), udp(9))
	turns(r, 1)
	began := r.Now()
	r.CallLater(600*time.Millisecond, func() { p.WriteTo([]byte("b"), udp(9)) })
	for len(g.failed) == 0 {
		r.Turn(-1)
	}
	if took := r.Now() - began; took < time.Second || took > 1100*time.Millisecond || !errors.Is(g.failures[0], reactor.ErrSendTimeout) || !errors.Is(g.failures[0], os.ErrDeadlineExceeded) {
		t.Errorf("after %v: %v", took, g.failures)
	}
	if st := p.Stats(); st.Queued != 1 || st.Dropped != 1 || g.failed[0] != "a to 127.0.0.1:9" {
		t.Errorf("%+v, %q", st, g.failed)
	}
	for len(g.failed) == 1 {
		r.Turn(-1)
	}
	if took := r.Now() - began; took < 1600*time.Millisecond || took > 1700*time.Millisecond {
		t.Errorf("the second after %v", took)
	}
}

// A port that stops sends what waits first. If that takes too long, the rest is dropped, and done gets
// an error that says how many.
func TestPacketStopWithQueue(t *testing.T) {
	for _, opens := range []bool{true, false} {
		g := &gram{}
		r, s, p := scripted(t, udp(0), g, &reactor.PacketConfig{QueueTimeout: time.Second})
		s.refuse = func(kernel.Packet) error { return kernel.ErrAgain }
		for range 3 {
			p.WriteTo([]byte("x"), udp(9))
		}
		turns(r, 1)
		var result []error
		p.StopListening(func(err error) { result = append(result, err) })
		turns(r, 3)
		if len(result) != 0 || s.closed {
			t.Fatal("the port did not wait")
		}
		if opens {
			s.refuse = nil
		}
		for len(result) == 0 {
			r.Turn(-1)
		}
		st := p.Stats()
		if opens && (result[0] != nil || st.Sent != 3) || !opens && (!errors.Is(result[0], reactor.ErrSendTimeout) || !strings.Contains(result[0].Error(), "3") || st.Dropped != 3) {
			t.Errorf("opens %v: done got %v, %+v", opens, result, st)
		}
		if len(g.stopped) != 1 || !errors.Is(g.stopped[0], reactor.ErrClosed) {
			t.Errorf("StopProtocol got %v", g.stopped)
		}
	}
}

// On an unconnected UNIX socket one receiver that is full holds back what is for it, in order, and
// nothing else. The port tries again after a time, not at once: an unconnected sender counts as writable.
func TestPacketQueueByPeer(t *testing.T) {
	g := &gram{}
	r, s, p := scripted(t, kernel.UNIXDatagramAddr("/mine"), g, nil)
	full := true
	s.refuse = func(p kernel.Packet) error {
		if full && p.Peer.Name == "/full" {
			return kernel.ErrAgain
		}
		return nil
	}
	a, b := kernel.UNIXDatagramAddr("/full"), kernel.UNIXDatagramAddr("/free")
	for i := range 6 {
		p.WriteTo([]byte{byte('0' + i)}, []kernel.Addr{a, b}[i%2])
	}
	turns(r, 2)
	p.WriteTo([]byte("6"), a)
	p.WriteTo([]byte("7"), b)
	turns(r, 2)
	if got := strings.Join(s.texts(), ""); got != "1357" || s.armed&kernel.Writable != 0 || p.Stats().Queued != 4 {
		t.Errorf("sent %q, armed %v, %+v", got, s.armed, p.Stats())
	}
	calls, until := s.calls, r.Now()+10*time.Second
	r.CallLater(10*time.Second, func() {})
	for r.Now() < until {
		r.Turn(-1)
	}
	if n := s.calls - calls; n < 100 || n > 200 {
		t.Errorf("%d tries in 10 s", n)
	}
	full = false
	until = r.Now() + time.Second
	r.CallLater(time.Second, func() {})
	for r.Now() < until {
		r.Turn(-1)
	}
	if got := strings.Join(s.texts(), ""); got != "13570246" {
		t.Errorf("sent %q", got)
	}
	p.WriteTo([]byte("8"), a)
	turns(r, 1)
	if got := s.texts(); got[len(got)-1] != "8" || p.Stats().Queued != 0 {
		t.Errorf("afterwards: %q, %+v", got, p.Stats())
	}
}

// When the peer is fixed while datagrams wait, those for it are sent, and those for others fail.
func TestPacketConnectWithQueue(t *testing.T) {
	g := &gram{}
	r, s, p := scripted(t, udp(0), g, nil)
	s.refuse = func(kernel.Packet) error { return kernel.ErrAgain }
	p.WriteTo([]byte("mine"), udp(7))
	p.WriteTo([]byte("other"), udp(8))
	turns(r, 1)
	if err := p.Connect(udp(7)); err != nil {
		t.Fatal(err)
	}
	s.refuse = func(p kernel.Packet) error {
		if !p.Peer.IsZero() {
			return &kernel.AddrError{Op: kernel.OpWrite, Addr: p.Peer, Kind: kernel.ErrInvalidAddr}
		}
		return nil
	}
	s.room = true
	turns(r, 3)
	if fmt.Sprint(s.texts()) != "[mine]" || len(g.failed) != 1 || g.failed[0] != "other to 127.0.0.1:8" || !errors.Is(g.failures[0], kernel.ErrInvalidAddr) {
		t.Errorf("sent %q, failed %q with %v", s.texts(), g.failed, g.failures)
	}
}

// Many datagrams at a time go to the system inside the call, behind what was written before, and uncopied.
func TestPacketWritePackets(t *testing.T) {
	r, s, p := scripted(t, udp(0), &gram{}, nil)
	all := func(texts ...string) (ps []kernel.Packet) {
		for i, x := range texts {
			ps = append(ps, kernel.Packet{Data: []byte(x), Peer: udp(uint16(1 + i))})
		}
		return ps
	}
	wants := func(calls int, want ...string) {
		t.Helper()
		if got := s.texts(); !slices.Equal(got, want) || s.calls != calls {
			t.Errorf("sent %q in %d calls, want %q in %d", got, s.calls, want, calls)
		}
	}
	p.WriteTo([]byte("a"), udp(9))
	if n, err := p.WritePackets(all("b", "c", "d")); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	wants(2, "a", "b", "c", "d")
	ps := all("e", "f", "g")
	ps[1].Peer = udp(0)
	if n, err := p.WritePackets(ps); n != 1 || !errors.Is(err, kernel.ErrInvalidAddr) {
		t.Errorf("a bad address: %d, %v", n, err)
	}
	if n, err := p.WritePackets(nil); n != 0 || err != nil {
		t.Errorf("none: %d, %v", n, err)
	}
	wants(3, "a", "b", "c", "d", "e")
	room := 1
	s.refuse = func(kernel.Packet) error {
		if room--; room < 0 {
			return kernel.ErrAgain
		}
		return nil
	}
	ps = all("h", "i", "j")
	if n, err := p.WritePackets(ps); n != 3 || err != nil {
		t.Errorf("no room: %d, %v", n, err)
	}
	clear(ps[1].Data) // the port has a copy of what waits
	p.WriteTo([]byte("k"), udp(9))
	s.refuse = nil
	turns(r, 2)
	if got := s.texts()[5:]; !slices.Equal(got, []string{"h", "i", "j", "k"}) {
		t.Errorf("sent %q", got)
	}
	if err := p.Connect(udp(2)); err != nil {
		t.Fatal(err)
	}
	if n, err := p.WritePackets(all("l", "m")); n != 0 || !errors.Is(err, kernel.ErrInvalidAddr) {
		t.Errorf("another peer: %d, %v", n, err)
	}
	if n, err := p.WritePackets(all("l", "m")[1:]); n != 1 || err != nil {
		t.Errorf("the peer: %d, %v", n, err)
	}
	p.StopListening(nil)
	if n, err := p.WritePackets(all("x")); n != 0 || !errors.Is(err, reactor.ErrClosed) {
		t.Errorf("stopping: %d, %v", n, err)
	}
}
