package device_test

import (
	"errors"
	"math"
	"math/bits"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// island has the test in a network namespace of its own. The thread ends with the test.
func island(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); errors.Is(err, unix.EPERM) {
		t.Skip("network namespaces need privileges")
	} else if err != nil {
		t.Fatal(err)
	}
}

func ip(t *testing.T, args string) string {
	t.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// islanders runs body on every kernel, in one namespace.
func islanders(t *testing.T, body func(t *testing.T, r *reactor.Reactor)) {
	island(t)
	for name, w := range testworld.Native() {
		body(t, w.New(t, reactor.Config{Panicked: func(e *reactor.PanicError) { t.Logf("%s: %v", name, e) }}))
	}
}

// packets is a protocol of tun that keeps what it gets, or answers it.
type packets struct {
	t       *device.Tunnel
	got     [][]byte
	lost    []error
	started int
	onGot   func(p []byte)
}

func (x *packets) StartTunnel(t *device.Tunnel) { x.t = t; x.started++ }
func (x *packets) StopTunnel(err error)         { x.lost = append(x.lost, err) }
func (x *packets) PacketReceived(p []byte) {
	if x.onGot != nil {
		x.onGot(p)
		return
	}
	x.got = append(x.got, append([]byte(nil), p...))
}

// frames is a protocol of tap.
type frames struct {
	packets
	frames [][]byte
}

func (x *frames) FrameReceived(p []byte) { x.frames = append(x.frames, append([]byte(nil), p...)) }

// PacketReceived has another signature here, so that frames are all that it takes.
func (x *frames) PacketReceived() {}

// socketTo is a UDP socket of this host, connected to a host behind the device.
func socketTo(t *testing.T, to [4]byte) int {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	do(t, err)
	t.Cleanup(func() { unix.Close(s) })
	do(t, unix.Connect(s, &unix.SockaddrInet4{Addr: to, Port: 7}))
	return s
}

// turned is an IPv4 packet of UDP on its way back: addresses and ports are exchanged, which no checksum notices.
func turned(p []byte) []byte {
	q := append([]byte(nil), p...)
	copy(q[12:16], p[16:20])
	copy(q[16:20], p[12:16])
	copy(q[20:22], p[22:24])
	copy(q[22:24], p[20:22])
	return q
}

// isUDP tells whether p is an IPv4 packet of UDP: hosts send packets of IPv6 too, about themselves.
func isUDP(p []byte) bool { return len(p) > 28 && p[0]>>4 == 4 && p[9] == unix.IPPROTO_UDP }

// TUN-1, TUN-3, TUN-4, TUN-6, TUN-7: whole IP packets pass both ways, without a header in front.
func TestTunnel(t *testing.T) {
	islanders(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		x := new(packets)
		tun, err := device.OpenTunnel(r, x, device.TunnelConfig{Name: "whorl%d", MTU: 9000, Up: true})
		do(t, err)
		if x.t != tun || x.started != 1 {
			t.Error("TUN-3: not started")
		}
		if a := tun.Addr(); a.Kind != "tun" || a.Name != "whorl0" || a.Network() != "tun" || a.String() != "whorl0" {
			t.Errorf("TUN-7: address %+v", a)
		}
		if out := ip(t, "link show whorl0"); !strings.Contains(out, "mtu 9000") || !strings.Contains(out, "UP") {
			t.Errorf("the device is %s", out)
		}
		ip(t, "addr add 10.99.0.1/24 dev whorl0")
		s := socketTo(t, [4]byte{10, 99, 0, 2})
		x.onGot = func(p []byte) {
			if !isUDP(p) {
				return
			}
			x.got = append(x.got, append([]byte(nil), p...))
			q := turned(p)
			do(t, tun.WriteVec([][]byte{q[:20], q[20:]})) // TUN-6
		}
		// Several packets in one turn.
		for i := range 5 {
			_, err := unix.Write(s, []byte{byte(i), 'x'})
			do(t, err)
		}
		do(t, r.Turn(0))
		if len(x.got) != 5 || len(x.got[0]) != 30 {
			t.Fatalf("TUN-4: %d packets in a turn: %v", len(x.got), x.got)
		}
		buf := make([]byte, 100)
		for i := range 5 {
			if n, err := unix.Read(s, buf); n != 2 || err != nil || buf[0] != byte(i) {
				t.Errorf("TUN-6: answer %d is %q, %v", i, buf[:max(n, 0)], err)
			}
		}
		// A packet beyond the maximum is cut. The device has a longer MTU than that.
		_, err = unix.Write(s, make([]byte, 8900))
		do(t, err)
		x.onGot = nil
		x.got = nil
		do(t, r.Turn(0))
		if len(x.got) != 1 || len(x.got[0]) != 8192 || tun.Stats().Truncated != 1 {
			t.Errorf("TUN-1, TUN-4: %d packets, %+v", len(x.got), tun.Stats())
		}
		if err := tun.Write([]byte{1, 2, 3}); !errors.Is(err, unix.EINVAL) || errors.Is(err, reactor.ErrLost) {
			t.Errorf("TUN-6: writing nonsense: %v", err)
		}
		if st := tun.Stats(); st.Sent != 5 || st.Failed != 1 || st.Received < 6 || st.SentBytes != 5*30 {
			t.Errorf("counters %+v", st)
		}
		calls := 0
		tun.Stop(func() { calls++ })
		tun.Stop(func() { calls++ })
		if calls+len(x.lost) != 0 {
			t.Error("TUN-3: stopped inside the call")
		}
		if err := tun.Write(x.got[0]); !errors.Is(err, reactor.ErrClosed) {
			t.Errorf("a write behind Stop: %v", err)
		}
		testworld.Until(t, func() bool { return calls == 2 }, r)
		tun.Stop(func() { calls++ })
		testworld.Until(t, func() bool { return calls == 3 }, r)
		if len(x.lost) != 1 || x.lost[0] != reactor.ErrClosed {
			t.Errorf("TUN-3: stopped with %v", x.lost)
		}
		if exec.Command("ip", "link", "show", "whorl0").Run() == nil {
			t.Error("the device is still there")
		}
	})
}

// TUN-1: a protocol of Ethernet frames has a tap device; one of neither kind is an error.
func TestTap(t *testing.T) {
	islanders(t, func(t *testing.T, r *reactor.Reactor) {
		x := new(frames)
		tap, err := device.OpenTunnel(r, x, device.TunnelConfig{Up: true})
		do(t, err)
		if a := tap.Addr(); a.Kind != "tap" || a.Name != "tap0" {
			t.Errorf("TUN-7: address %+v", a)
		}
		ip(t, "addr add 10.98.0.1/24 dev tap0")
		s := socketTo(t, [4]byte{10, 98, 0, 2})
		_, err = unix.Write(s, []byte("who"))
		do(t, err)
		arp := func() bool {
			for _, f := range x.frames {
				if len(f) >= 42 && f[12] == 8 && f[13] == 6 && f[41] == 2 {
					return true
				}
			}
			return false
		}
		testworld.Until(t, arp, r) // TUN-1: an Ethernet frame, which asks for the neighbour
		tap.Stop(nil)
		testworld.Until(t, func() bool { return len(x.lost) == 1 }, r)

		leaktest.KeepsDescriptors(t)
		_, err = device.OpenTunnel(r, struct{ device.TunnelProtocol }{x}, device.TunnelConfig{})
		if !errors.Is(err, device.ErrProtocol) || !errors.Is(err, reactor.ErrListen) {
			t.Errorf("TUN-1: a protocol of no kind: %v", err)
		}
	})
}

// tooLarge are settings of more than 32 bits. Cut to these, the owner would be root. An int of 32 bits has none.
func tooLarge() map[string]device.TunnelConfig {
	if bits.UintSize == 32 {
		return nil
	}
	more := int(math.MaxInt32)
	more = 2 * (more + 1)
	return map[string]device.TunnelConfig{"MTU": {MTU: more + 1400}, "Owner": {Owner: &more}, "Group": {Group: &more}}
}

// TUN-2: a failure is ErrListen, typed, and leaves no descriptor.
func TestTunnelRefused(t *testing.T) {
	islanders(t, func(t *testing.T, r *reactor.Reactor) {
		leaktest.KeepsDescriptors(t)
		x := new(packets)
		one := 1
		tun, err := device.OpenTunnel(r, x, device.TunnelConfig{Name: "mine", Persist: true, Owner: &one, Group: &one})
		do(t, err)
		ip(t, "link add other type bridge")
		for name, want := range map[string]error{"mine": device.ErrBusy, "other": unix.EINVAL, "a name of 16 byt": unix.EINVAL} {
			if _, err := device.OpenTunnel(r, new(packets), device.TunnelConfig{Name: name}); !errors.Is(err, want) || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("TUN-2: %q: %v", name, err)
			}
		}
		if _, err := device.OpenTunnel(r, new(packets), device.TunnelConfig{MTU: -5}); !errors.Is(err, unix.EINVAL) {
			t.Errorf("TUN-2: MTU: %v", err)
		}
		for option, c := range tooLarge() {
			tun, err := device.OpenTunnel(r, new(packets), c)
			if e, ok := errors.AsType[*kernel.OptionError](err); !ok || e.Option != option || !errors.Is(err, reactor.ErrListen) {
				t.Errorf("TUN-2: %+v: %v", c, err)
			}
			if err == nil {
				tun.Stop(nil)
			}
		}
		if out := ip(t, "-d link show mine"); !strings.Contains(out, "persist on") || !strings.Contains(out, "user daemon") && !strings.Contains(out, "user 1") {
			t.Errorf("the device is %s", out)
		}
		tun.Stop(nil)
		testworld.Until(t, func() bool { return len(x.lost) == 1 }, r)
		y := new(packets)
		again, err := device.OpenTunnel(r, y, device.TunnelConfig{Name: "mine"}) // it has stayed
		do(t, err)
		if again.Addr().Name != "mine" {
			t.Errorf("opened %v", again.Addr())
		}
		do(t, again.SetPersist(false))
		again.Stop(nil)
		testworld.Until(t, func() bool { return len(y.lost) == 1 }, r)
		if exec.Command("ip", "link", "show", "mine").Run() == nil {
			t.Error("the device is still there")
		}
		ip(t, "link del other")
		for range 2 {
			_, err := device.OpenTunnel(r, new(packets), device.TunnelConfig{Name: "many", MultiQueue: true})
			do(t, err)
		}
		r.Close()
	})
}

// broken is a protocol that cannot start.
type broken struct{ packets }

func (*broken) StartTunnel(*device.Tunnel) { panic("oh") }

// TUN-2: a device that was to persist does not stay when it could not be opened.
func TestTunnelLeavesNoDevice(t *testing.T) {
	islanders(t, func(t *testing.T, r *reactor.Reactor) {
		c := device.TunnelConfig{Name: "fails", Persist: true}
		open := func(p device.TunnelProtocol) {
			t.Helper()
			if _, err := device.OpenTunnel(r, p, c); !errors.Is(err, reactor.ErrListen) {
				t.Errorf("TUN-2: %v", err)
			}
			if exec.Command("ip", "link", "show", "fails").Run() == nil {
				t.Error("TUN-2: the device has stayed")
				ip(t, "link del fails")
			}
		}
		open(new(broken))
		r.Close()
		open(new(packets)) // a reactor that has ended takes no reader
	})
}

// TUN-5: a panic costs one packet. The loss of the device, and the end of the reactor, are told once.
func TestTunnelPanicsAndLoss(t *testing.T) {
	islanders(t, func(t *testing.T, r *reactor.Reactor) {
		x := new(packets)
		_, err := device.OpenTunnel(r, x, device.TunnelConfig{Name: "goes", Up: true})
		do(t, err)
		ip(t, "addr add 10.99.0.1/24 dev goes")
		s := socketTo(t, [4]byte{10, 99, 0, 2})
		seen := 0
		x.onGot = func(p []byte) {
			if isUDP(p) {
				if seen++; seen == 1 {
					panic("oh")
				}
			}
		}
		before := r.Stats().Panics
		for range 2 {
			_, err := unix.Write(s, []byte("x"))
			do(t, err)
		}
		do(t, r.Turn(0))
		if seen != 2 || r.Stats().Panics != before+1 {
			t.Errorf("TUN-5: %d packets, %d panics", seen, r.Stats().Panics-before)
		}
		ip(t, "link del goes")
		testworld.Until(t, func() bool { return len(x.lost) > 0 }, r)
		if len(x.lost) != 1 || x.lost[0] == reactor.ErrClosed {
			t.Errorf("lost with %v", x.lost)
		}
		y := new(packets)
		_, err = device.OpenTunnel(r, y, device.TunnelConfig{})
		do(t, err)
		r.Close()
		if len(y.lost) != 1 || y.lost[0] != reactor.ErrStopped {
			t.Errorf("stopped with %v", y.lost)
		}
	})
}

// TUN-3: the end of the reactor stops a paused device too, and closes it. THR-32: after the end of its goroutine, Stop closes it.
func TestTunnelEndsPaused(t *testing.T) {
	islanders(t, func(t *testing.T, r *reactor.Reactor) {
		x := new(packets)
		d, err := device.OpenTunnel(r, x, device.TunnelConfig{Name: "paused"})
		do(t, err)
		d.PauseProducing()
		r.Close()
		if len(x.lost) != 1 || x.lost[0] != reactor.ErrStopped {
			t.Errorf("TUN-3: stopped with %v", x.lost)
		}
		if _, err := net.InterfaceByName("paused"); err == nil {
			t.Error("TUN-3: the device is open still")
		}
	})
	for name, w := range testworld.Native() {
		log := testworld.NewLog(t)
		log.Expect("the loop's goroutine ends inside a callback")
		r := w.New(t, reactor.Config{Logger: log.Logger()})
		d, err := device.OpenTunnel(r, new(packets), device.TunnelConfig{Name: "dead"})
		do(t, err)
		left := make(chan struct{})
		r.Post(runtime.Goexit)
		go func() { defer close(left); _ = r.Turn(0) }()
		<-left
		told := 0
		d.Stop(func() { told++ })
		if _, err := net.InterfaceByName("dead"); err == nil || told != 1 {
			t.Errorf("%s: THR-32: told %d times, the device is there: %v", name, told, err == nil)
		}
	}
}

// What the system has no room for waits, in order and within MaxQueued. A paused device leaves packets to the system.
func TestTunnelWaits(t *testing.T) {
	islanders(t, func(t *testing.T, r *reactor.Reactor) {
		x := new(packets)
		tun, err := device.OpenTunnel(r, x, device.TunnelConfig{Up: true, MaxQueued: 95})
		do(t, err)
		ip(t, "addr add 10.99.0.1/24 dev tun0")
		s := socketTo(t, [4]byte{10, 99, 0, 2})
		tun.PauseProducing()
		for i := range 3 {
			_, err := unix.Write(s, []byte{byte(i), 'x'})
			do(t, err)
		}
		testworld.Turns(t, r, 3)
		if len(x.got) != 0 {
			t.Error("read while paused")
		}
		tun.ResumeProducing()
		var udp [][]byte
		x.onGot = func(p []byte) {
			if isUDP(p) {
				udp = append(udp, append([]byte(nil), p...))
			}
		}
		testworld.Until(t, func() bool { return len(udp) == 3 }, r)
		full := true
		tun.OnWrite(func(write func() (int, error)) (int, error) {
			if full {
				return -1, unix.EAGAIN
			}
			return write()
		})
		for _, p := range udp[:2] {
			do(t, tun.Write(turned(p)))
		}
		if err := tun.Write(make([]byte, 40)); !errors.Is(err, reactor.ErrQueueFull) {
			t.Errorf("a write beyond MaxQueued: %v", err)
		}
		if st := tun.Stats(); st.Queued != 2 || st.QueuedBytes != 60 || st.QueueFull != 1 || st.Sent != 0 {
			t.Errorf("counters %+v", st)
		}
		testworld.Turns(t, r, 3)
		full = false
		do(t, tun.Write(turned(udp[2]))) // behind the others, though there is room
		if st := tun.Stats(); st.Queued != 3 {
			t.Errorf("counters %+v", st)
		}
		testworld.Until(t, func() bool { return tun.Stats().Queued == 0 }, r)
		buf := make([]byte, 10)
		for i := range 3 {
			if n, err := unix.Read(s, buf); n != 2 || err != nil || buf[0] != byte(i) {
				t.Errorf("packet %d is %q, %v", i, buf[:max(n, 0)], err)
			}
		}
		full = true
		do(t, tun.Write(turned(udp[0])))
		full = false
		testworld.Until(t, func() bool { return tun.Stats().Queued == 0 }, r)
		if st := tun.Stats(); st.QueuedBytes != 0 || st.Sent != 4 {
			t.Errorf("counters %+v", st)
		}
		if err := tun.Write(turned(udp[2])); err != nil {
			t.Error(err)
		}
		r.Close()
	})
}

// A packet costs no allocation in either direction.
func TestTunnelAllocations(t *testing.T) {
	if raced {
		t.Skip("the detector allocates")
	}
	islanders(t, func(t *testing.T, r *reactor.Reactor) {
		x := new(packets)
		tun, err := device.OpenTunnel(r, x, device.TunnelConfig{Up: true})
		do(t, err)
		ip(t, "addr add 10.99.0.1/24 dev tun0")
		s := socketTo(t, [4]byte{10, 99, 0, 2})
		out, seen := []byte("x"), 0
		x.onGot = func(p []byte) {
			if !isUDP(p) {
				return
			}
			seen++
			p[15], p[19] = p[19], p[15]
			p[20], p[21], p[22], p[23] = p[22], p[23], p[20], p[21]
			if err := tun.Write(p); err != nil {
				t.Error(err)
			}
		}
		n := testing.AllocsPerRun(200, func() {
			if _, err := unix.Write(s, out); err != nil {
				t.Error(err)
			}
			if err := tun.Read(); err != nil {
				t.Error(err)
			}
		})
		if n != 0 || seen < 200 {
			t.Errorf("%v allocations for each of %d packets", n, seen)
		}
		r.Close()
	})
}

// A kernel that takes no descriptors says so.
func TestTunnelSimulated(t *testing.T) {
	island(t)
	leaktest.KeepsDescriptors(t)
	for _, w := range testworld.Worlds() {
		if w.Simulated() {
			_, err := device.OpenTunnel(w.New(t, reactor.Config{}), new(packets), device.TunnelConfig{})
			if !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, kernel.ErrUnsupported) {
				t.Errorf("%v", err)
			}
		}
	}
}
