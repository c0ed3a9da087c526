package native

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// hosts are two network namespaces that a cable joins: va of the first, 10.77.0.1 and fd77::1, and vb of the second,
// 10.77.0.2 and fd77::2. Sockets of both can be watched by one kernel.
type hosts struct {
	t  *testing.T
	ns [2]int
}

// twoHosts makes them. The goroutine keeps its thread, which ends with the test, because it changes between the two.
func twoHosts(t *testing.T) *hosts {
	if os.Getuid() != 0 {
		t.Skip("network namespaces need privileges")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip(err)
	}
	runtime.LockOSThread()
	h := &hosts{t: t}
	for i := range h.ns {
		if err := unix.Unshare(unix.CLONE_NEWNET); errors.Is(err, unix.EPERM) {
			t.Skip("network namespaces need privileges")
		} else if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		h.ns[i] = fd
		t.Cleanup(func() { unix.Close(fd) })
	}
	// A process in the second namespace gives it a name.
	keeper := exec.Command("cat")
	in, err := keeper.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := keeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer keeper.Wait()
	defer in.Close()
	h.ip(0, "link add va type veth peer name vb netns "+strconv.Itoa(keeper.Process.Pid))
	for i, dev := range []string{"va", "vb"} {
		n := strconv.Itoa(i + 1)
		h.ip(i, "link set lo up")
		h.ip(i, "addr add 10.77.0."+n+"/24 brd + dev "+dev)
		h.ip(i, "link set "+dev+" up")
		h.ip(i, "-6 addr add fd77::"+n+"/64 dev "+dev+" nodad")
	}
	// The system takes a moment to notice that the cable has two ends, and drops what is sent meanwhile.
	for i, dev := range []string{"va", "vb"} {
		for end := time.Now().Add(10 * time.Second); !strings.Contains(h.ip(i, "link show "+dev), "state UP"); {
			if time.Now().After(end) {
				t.Fatalf("%s does not come up", dev)
			}
		}
	}
	return h
}

// at changes to the namespace i, 0 or 1.
func (h *hosts) at(i int) {
	h.t.Helper()
	if err := unix.Setns(h.ns[i], unix.CLONE_NEWNET); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hosts) ip(i int, args string) string {
	h.t.Helper()
	h.at(i)
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		h.t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// bind opens a socket in the namespace i.
func (h *hosts) bind(k kernel.Kernel, i int, at string, port uint16, o kernel.PacketOptions) *udpConn {
	h.t.Helper()
	h.at(i)
	return testBind(h.t, k, kernel.UDPAddr(netip.MustParseAddr(at), port), &o).(*udpConn)
}

// Datagrams for a group reach another host that has joined it, and our own one unless that is switched off (MC-3). They
// do not reach it any more when it has left (MC-8). An interface that goes away is told.
func TestTwoHostsMulticast(t *testing.T) {
	h := twoHosts(t)
	for _, x := range []struct{ all, group, first, second string }{
		{"0.0.0.0", "239.77.77.1", "10.77.0.1", "10.77.0.2"}, {"::", "ff12::7777", "fd77::1", "fd77::2"},
	} {
		k := testKernel(t, "", Options{})
		shared := kernel.PacketOptions{Shared: true}
		there := h.bind(k, 1, x.all, 0, shared)
		to := kernel.UDPAddr(netip.MustParseAddr(x.group), there.Local().Port())
		here := h.bind(k, 0, x.all, to.Port(), shared)
		c := h.bind(k, 0, x.first, 0, kernel.PacketOptions{})
		group := func(dev, source string) kernel.Group {
			g := kernel.Group{IP: to.IP.Addr(), Interface: dev}
			if source != "" {
				g.Source = netip.MustParseAddr(source)
			}
			return g
		}
		do := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		h.at(1)
		do(there.JoinGroup(group("vb", "")))
		h.at(0)
		do(here.JoinGroup(group(x.first, "")))
		do(c.SetMulticastInterface("va"))
		p := equals(to, 3, 100)
		testPut(t, c, p)
		readAll(t, k, there, p) // MC-8
		readAll(t, k, here, p)  // MC-3
		do(c.SetMulticastLoopback(false))
		testPut(t, c, p)
		readAll(t, k, there, p)
		if q, err := here.ReadPackets(); err != kernel.ErrAgain {
			t.Errorf("MC-3: %d came back, %v", len(q), err)
		}
		do(c.SetMulticastTTL(0))
		do(c.SetMulticastLoopback(true))
		testPut(t, c, p)
		readAll(t, k, here, p) // MC-2: it stays on this host
		if q, err := there.ReadPackets(); err != kernel.ErrAgain {
			t.Errorf("MC-2: %d have left the host, %v", len(q), err)
		}
		do(c.SetMulticastTTL(1))
		h.at(1)
		do(there.LeaveGroup(group("vb", "")))
		do(there.JoinGroup(group("vb", x.second)))
		h.at(0)
		testPut(t, c, p)
		readAll(t, k, here, p)
		h.at(1)
		do(there.JoinGroup(group("vb", x.first)))
		h.at(0)
		p = equals(to, 2, 50)
		testPut(t, c, p)
		readAll(t, k, there, p) // and not the three before: MC-8, and a source that is another
		readAll(t, k, here, p)
	}
	k := testKernel(t, "", Options{})
	here := h.bind(k, 0, "0.0.0.0", 0, kernel.PacketOptions{})
	g := kernel.Group{IP: netip.MustParseAddr("239.77.77.1"), Interface: "va"}
	if err := here.JoinGroup(g); err != nil {
		t.Fatal(err)
	}
	h.ip(0, "link del va")
	other := g
	other.IP = netip.MustParseAddr("239.77.77.2")
	if err := here.JoinGroup(other); !errors.Is(err, kernel.ErrNoInterface) {
		t.Errorf("MC-7: the interface is gone: %v", err)
	}
	if err := here.LeaveGroup(g); err != nil && !errors.Is(err, kernel.ErrNoInterface) && !errors.Is(err, kernel.ErrNotJoined) {
		t.Errorf("the interface is gone: %v", err)
	}
	if err := here.LeaveGroup(g); !errors.Is(err, kernel.ErrNotJoined) {
		t.Errorf("MC-6: left: %v", err)
	}
}

// A broadcast reaches the other host (UDP-24), which is told its own address. Datagrams that are longer than the cable takes
// arrive, though no train of such can be sent.
func TestTwoHostsBroadcast(t *testing.T) {
	h := twoHosts(t)
	k := testKernel(t, "", Options{})
	there := h.bind(k, 1, "0.0.0.0", 0, kernel.PacketOptions{})
	c := h.bind(k, 0, "10.77.0.1", 0, kernel.PacketOptions{Broadcast: true})
	p := equals(kernel.UDPAddr(netip.MustParseAddr("10.77.0.255"), there.Local().Port()), 1, 100)
	testPut(t, c, p)
	testReady(t, k, there, kernel.Readable)
	if q, err := there.ReadPackets(); err != nil || len(q) != 1 || q[0].Local != netip.MustParseAddr("10.77.0.2") || q[0].Peer != c.Local() {
		t.Errorf("UDP-24: %v, %v", q, err)
	}
	p = equals(kernel.UDPAddr(netip.MustParseAddr("10.77.0.2"), there.Local().Port()), 20, 2000)
	testPut(t, c, p)
	readAll(t, k, there, p)
	if c.longest == 0 && !c.noGSO {
		t.Error("a train of datagrams was sent that are longer than the cable takes")
	}
	p = equals(p[0].Peer, 20, 1000)
	testPut(t, c, p)
	readAll(t, k, there, p)
	if !c.noGSO && c.b.out.count[0] != 20 {
		t.Errorf("shorter ones were put together by %d", c.b.out.count[0])
	}
}
