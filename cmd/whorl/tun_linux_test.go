package main

import (
	"bytes"
	"crypto/sha256"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/internal/hosttest"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// sites are two hosts with tunnels.
type sites struct {
	*hosttest.Pair
	t *testing.T
}

func newSites(t *testing.T) sites { return sites{hosttest.NewPair(t, "nft"), t} }

// site is a whorl tun that runs.
type site struct {
	cmd *exec.Cmd
	log *os.File
}

func (s sites) tun(i int, args string) site {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.t.TempDir(), "log"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { log.Close() })
	return site{s.Start(i, "whorl tun "+args, log), log}
}

// logs waits for a line in the log.
func (p site) logs(t *testing.T, pattern string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		text, err := os.ReadFile(p.log.Name())
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(pattern).Match(text) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nothing like %q in\n%s", pattern, text)
		}
	}
}

// ping sends an ICMP echo request to 10.88.0.2 every 100 ms, until the answer to one has come.
func (s sites) ping() {
	s.t.Helper()
	s.At(0)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		s.t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		s.t.Fatal(err)
	}
	request := []byte{8, 0, 0, 0, 0x12, 0x34, 0, 1, 'p', 'i', 'n', 'g'}
	sum := uint32(0)
	for i := 0; i < len(request); i += 2 {
		sum += uint32(request[i])<<8 | uint32(request[i+1])
	}
	sum = ^(sum>>16 + sum&0xffff)
	request[2], request[3] = byte(sum>>8), byte(sum)
	buf := make([]byte, 200)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if err := unix.Sendto(fd, request, 0, &unix.SockaddrInet4{Addr: [4]byte{10, 88, 0, 2}}); err != nil {
			s.t.Fatal(err)
		}
		for {
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				break // none in time
			}
			if n == 32 && buf[20] == 0 && bytes.Equal(buf[24:32], request[4:]) {
				return
			}
		}
	}
	s.t.Fatal("no answer to a ping")
}

// transfer sends size bytes from the first site to the second, through the tunnel.
func (s sites) transfer(size int) {
	t := s.t
	t.Helper()
	s.At(1)
	l, err := net.Listen("tcp4", "10.88.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	type result struct {
		sum [32]byte
		n   int64
		err error
	}
	got := make(chan result, 1)
	go func() {
		var res result
		c, err := l.Accept()
		if res.err = err; err == nil {
			h := sha256.New()
			res.n, res.err = io.Copy(h, c)
			h.Sum(res.sum[:0])
			c.Close()
		}
		got <- res
	}()
	s.At(0)
	c, err := net.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	data := noise(1 << 20)
	h := sha256.New()
	for sent := 0; sent < size; sent += len(data) {
		data[sent>>20&1023]++ // no two pieces are alike
		h.Write(data)
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	res := <-got
	if res.err != nil || [32]byte(h.Sum(nil)) != res.sum {
		t.Errorf("%d bytes came, %v: not what was sent", res.n, res.err)
	}
}

// A tunnel between two hosts carries a ping, and 100 MB, though 5 % of the packets below it are lost. A second connection is
// refused, the listening side waits for the next one, and the devices go with the programs.
func TestTunBetweenHosts(t *testing.T) {
	s := newSites(t)
	const listen = "listen tcp:7000:interface=10.77.0.1 --name=vpn0"
	const connect = "connect tcp:10.77.0.1:7000 --name=vpn0"
	a := s.tun(0, listen)
	a.logs(t, "listening on tcp 10.77.0.1:7000")
	b := s.tun(1, connect)
	a.logs(t, `msg="tunnel open"`)
	b.logs(t, `msg="tunnel open"`)
	second := s.tun(1, "connect tcp:10.77.0.1:7000")
	if err := second.cmd.Wait(); err == nil || second.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("a second connection: %v", err)
	}
	second.logs(t, "whorl: the connection is lost")
	a.logs(t, "refused: the tunnel has its connection")
	for i := range 2 {
		s.Run(i, "ip addr add 10.88.0."+strconv.Itoa(i+1)+"/24 dev vpn0")
	}
	s.ping()
	for i, dev := range []string{"va", "vb"} {
		s.Run(i, "nft add table inet t && nft add chain inet t out '{ type filter hook output priority 0; }' && nft add rule inet t out oifname "+dev+" numgen random mod 100 '<' 5 counter drop")
	}
	s.ping()
	size := 100 << 20
	if raced || testing.Short() {
		size = 5 << 20
	}
	began := time.Now()
	s.transfer(size)
	t.Logf("%d MiB in %v", size>>20, time.Since(began))
	s.At(0)
	if out, err := exec.Command("nft", "list", "table", "inet", "t").Output(); err != nil || !regexp.MustCompile(`counter packets [1-9]`).Match(out) {
		t.Errorf("nothing was lost below: %v\n%s", err, out)
	} else {
		t.Logf("%s", regexp.MustCompile(`counter .*`).Find(out))
	}

	if err := b.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Wait(); err != nil {
		t.Errorf("after a signal: %v", err)
	}
	a.logs(t, `msg="tunnel lost"`)
	s.Run(1, "! ip link show vpn0 2>/dev/null")
	c := s.tun(1, connect)
	c.logs(t, `msg="tunnel open"`)
	s.Run(1, "ip addr add 10.88.0.2/24 dev vpn0")
	s.ping()
	if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Wait(); err != nil {
		t.Errorf("after a signal: %v", err)
	}
	if err := c.cmd.Wait(); err == nil || c.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the connecting side, when the connection was lost: %v", err)
	}
}

// The same with Ethernet frames.
func TestTapBetweenHosts(t *testing.T) {
	s := newSites(t)
	a := s.tun(0, "listen tcp:7000:interface=10.77.0.1 --name=eth%d --tap --mtu=1400")
	a.logs(t, "listening on tcp 10.77.0.1:7000")
	b := s.tun(1, "connect tcp:10.77.0.1:7000 --name=eth%d --tap --mtu=1400")
	b.logs(t, `msg="tunnel open"`)
	for i := range 2 {
		s.Run(i, "ip addr add 10.88.0."+strconv.Itoa(i+1)+"/24 dev eth0")
	}
	s.ping()
	s.transfer(3 << 20)
}

// Strangers at their handshake keep nobody out, and no more than 16 may be there. Who has shown a certificate has the place.
func TestTunWaitsForTheHandshake(t *testing.T) {
	hosttest.Unshare(t)
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	ca := tlstest.NewAuthorityAt("ca", time.Now())
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots, both, mine := write("ca.pem", ca.PEM()), write("srv.pem", tlstest.BothPEM(ca.Leaf("127.0.0.1"))), write("mine.pem", tlstest.BothPEM(ca.Client("me")))
	for name, w := range testworld.Native() {
		var log bytes.Buffer
		opened := func() int { return strings.Count(log.String(), `msg="tunnel open"`) }
		r := w.New(t, reactor.Config{})
		x := &carrier{r: r, log: slog.New(slog.NewTextHandler(&log, nil))}
		if _, err := device.OpenTunnel(r, x.protocol(false), device.TunnelConfig{}); err != nil {
			t.Fatal(err)
		}
		at := &std.TLSServer{Certificates: both, ClientCAs: roots, TCPServer: std.TCPServer{Interface: netip.MustParseAddr("127.0.0.1")}}
		port, err := at.Listen(r, x)
		if err != nil {
			t.Fatal(err)
		}
		var strangers []*peer
		for range maxCandidates + 1 {
			strangers = append(strangers, dial(t, r, port.Addr(), &peer{}))
		}
		until(t, r, func() bool { return strangers[maxCandidates].ended || strangers[maxCandidates].err != nil })
		if x.candidates != maxCandidates || opened() != 0 || x.peer != nil {
			t.Errorf("%s: %d strangers wait, %d have the place", name, x.candidates, opened())
		}
		strangers[0].s.Abort()
		until(t, r, func() bool { return x.candidates == maxCandidates-1 })
		near := new(secret)
		to := &std.TLSClient{TCPClient: std.TCPClient{Host: "127.0.0.1", Port: port.Addr().Port()}, TrustRoots: roots, Certificate: mine}
		to.Connect(r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return near }), func(_ reactor.Protocol, err error) {
			if err != nil {
				t.Error(err)
			}
		})
		until(t, r, func() bool { return x.peer != nil })
		if x.candidates != maxCandidates-1 || opened() != 1 {
			t.Errorf("%s: %d strangers wait, %d have the place", name, x.candidates, opened())
		}
		near.T.Abort()
		until(t, r, func() bool { return x.peer == nil })
		r.Close()
		if x.candidates != 0 {
			t.Errorf("%s: %d candidates are left", name, x.candidates)
		}
	}
}

// Whoever takes the place and leaves it, again and again, does not fill the log.
func TestTunLogsAreLimited(t *testing.T) {
	hosttest.Unshare(t)
	if out, err := exec.Command("ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	for name, w := range testworld.Native() {
		var log bytes.Buffer
		r := w.New(t, reactor.Config{})
		x := &carrier{r: r, log: slog.New(slog.NewTextHandler(&log, nil))}
		if _, err := device.OpenTunnel(r, x.protocol(false), device.TunnelConfig{}); err != nil {
			t.Fatal(err)
		}
		port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), x, nil)
		if err != nil {
			t.Fatal(err)
		}
		began := r.Now()
		for range 200 {
			p := dial(t, r, port.Addr(), &peer{})
			until(t, r, func() bool { return x.peer != nil })
			p.s.Abort()
			until(t, r, func() bool { return x.peer == nil })
		}
		seconds := int((r.Now()-began)/time.Second) + 2
		r.Close()
		if n := strings.Count(log.String(), "\n"); n > 2*tunnelsPerSecond*seconds {
			t.Errorf("%s: %d records in %d seconds: %.500s", name, n, seconds, log.String())
		}
	}
}
