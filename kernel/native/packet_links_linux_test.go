package native

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// inLinks is set in the process that TestPacketLinks starts.
const inLinks = "WHORL_TEST_LINKS"

// links are two network namespaces with a link between them: wa in the one, wb in the other. No packet leaves them.
type links struct {
	k    kernel.Kernel
	a, b int // descriptors of the namespaces
}

// TestPacketLinks starts a process in a new network namespace, which makes a second one, and has datagrams go between them.
func TestPacketLinks(t *testing.T) {
	if os.Getenv(inLinks) != "" {
		h := newLinks(t)
		for _, x := range []struct {
			name string
			test func(*testing.T, *links)
		}{{"groups", hostsGroups}, {"group scopes", hostsGroupScopes}, {"sources", hostsSources}, {"reach", hostsReach}, {"others", hostsOthers}, {"broadcast", hostsBroadcast}, {"long runs", hostsLongRuns},
			{"no room", hostsNoRoom}, {"too long for the path", hostsPath}, {"ping", hostsPing},
			{"link taken away", hostsLinkGone}} {
			t.Run(x.name, func(t *testing.T) { x.test(t, h) })
		}
		return
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("there is no ip(8)")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPacketLinks$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), inLinks+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	runtime.LockOSThread() // Pdeathsig is about the thread
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		t.Skipf("this system gives us no network namespace: %v", err)
	}
	switch err := cmd.Wait(); {
	case err != nil:
		t.Errorf("%v\n%s", err, out.String())
	case strings.Contains(out.String(), "\n--- SKIP"):
		t.Skip(out.String())
	default:
		t.Log(out.String())
	}
}

func newLinks(t *testing.T) *links {
	h := &links{k: openFirst(t), a: namespaceOf(t)}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			h.b = namespaceOf(t)
		}
		made <- err
	}()
	if err := <-made; err != nil {
		t.Skipf("this system gives us no second network namespace: %v", err)
	}
	for _, at := range []int{h.a, h.b} {
		h.in(t, at, func() {
			for _, of := range []string{"all", "default"} { // addresses are there at once
				_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+of+"/accept_dad", []byte("0"), 0)
			}
			ip(t, "link set lo up")
		})
	}
	if out, err := exec.Command("ip", strings.Fields("link add name wa type veth peer name wb")...).CombinedOutput(); err != nil {
		t.Skipf("this system gives us no veth: %v, %s", err, out)
	}
	ip(t, "link set wb netns /proc/"+strconv.Itoa(os.Getpid())+"/fd/"+strconv.Itoa(h.b))
	up := func(link, n string) {
		ip(t, "addr add 10.77.0."+n+"/24 brd + dev "+link)
		ip(t, "addr add fd77::"+n+"/64 dev "+link+" nodad")
		ip(t, "link set "+link+" up")
	}
	h.in(t, h.b, func() { up("wb", "2") })
	up("wa", "1")
	ip(t, "addr add 10.77.0.3/24 dev wa")
	ip(t, "addr add fd77::3/64 dev wa nodad")
	ip(t, "route add 255.255.255.255 dev wa")
	ip(t, "-6 route add ff00::/8 dev lo table local metric 4096")
	return h
}

// namespaceOf is a descriptor of the thread's network namespace.
func namespaceOf(t *testing.T) int {
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return -1
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// in calls fn in a namespace: what fn opens and starts belongs there.
func (h *links) in(t *testing.T, at int, fn func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setns(at, unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setns(h.a, unix.CLONE_NEWNET); err != nil {
			panic(err)
		}
	}()
	fn()
}

// udp opens a socket in a namespace.
func (h *links) udp(t *testing.T, at int, ip string, port uint16, o *kernel.PacketOptions) (c *udpConn) {
	t.Helper()
	h.in(t, at, func() { c = packetConn(t, h.k, kernel.UDPAddr(parseIP(ip), port), o).(*udpConn) })
	return c
}

// ip runs ip(8).
func ip(t *testing.T, command string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v, %s", command, err, out)
	}
}
