package netconn_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// BenchmarkBulk compares the processor time of this process for receiving bytes from another one, by a Conn and by package net, one after the
// other. x-net is how many bytes a Conn receives in the time in which net receives one: the median of the iterations. An iteration is 1 GiB for each.
//
//	go test -run '^$' -bench Bulk -benchtime 9x -cpu 1,2 ./netconn
func BenchmarkBulk(b *testing.B) {
	for _, size := range []int{4 << 10, 16 << 10, 64 << 10, 256 << 10} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			r := running(b, epoll(b))
			own, err := reactor.Ask(r, func() (*netconn.Listener, error) { return netconn.Listen(r, loopback(), nil) })
			if err != nil {
				b.Fatal(err)
			}
			defer own.Close()
			other, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer other.Close()
			var ratios []float64
			b.SetBytes(bulk)
			for b.Loop() {
				first := receive(b, other, size)
				ratios = append(ratios, first.Seconds()/receive(b, own, size).Seconds())
			}
			slices.Sort(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "x-net")
		})
	}
}

// epoll is the world of that kernel.
func epoll(t testing.TB) (w testworld.World) {
	for name, w := range testworld.Native() {
		if name == "epoll" {
			return w
		}
	}
	t.Fatal("there is no epoll")
	return w
}

// bulk is how much one connection of BenchmarkBulk carries.
const bulk = 1 << 30

// receive receives bulk bytes by l, with slices of that size, and returns how much time of processors that took.
func receive(b *testing.B, l net.Listener, size int) time.Duration {
	b.Helper()
	sender := exec.Command(os.Args[0], "-test.run=TestBulkSender")
	sender.Env = append(os.Environ(), "BULK_TO="+l.Addr().String())
	if err := sender.Start(); err != nil {
		b.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, size)
	start, got := cpuTime(b), 0
	for err == nil {
		var n int
		n, err = c.Read(buf)
		got += n
	}
	spent := cpuTime(b) - start
	if err := sender.Wait(); err != nil || got != bulk {
		b.Fatalf("%d bytes came, and %v", got, err)
	}
	return spent
}

func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestBulkSender is the other process of BenchmarkBulk.
func TestBulkSender(t *testing.T) {
	to := os.Getenv("BULK_TO")
	if to == "" {
		t.Skip("it is for BenchmarkBulk")
	}
	c, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := make([]byte, 256<<10)
	for range bulk / len(p) {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
	}
}
