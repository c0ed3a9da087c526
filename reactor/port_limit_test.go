//go:build unix

package reactor_test

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// TCP-21 FDS-25: select has room for 1024 numbers. Beyond that a client is closed with a
// line in the log, as when the process has no descriptor left, and the port goes on.
func TestAcceptBeyondSelect(t *testing.T) {
	k, err := native.Open("select")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{service: &service{}, log: &journal{}}
	g.r = testworld.New(t, k, reactor.Config{Logger: slog.New(g.log)})
	g.port = listen(t, g.r, g, nil)

	limit := kernel.LimitsOf(k).Descriptors
	var taken []int
	defer func() {
		for _, fd := range taken {
			unix.Close(fd)
		}
	}()
	for len(taken) == 0 || taken[len(taken)-1] < limit {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Skip(err)
		}
		taken = append(taken, fd)
	}
	client := func() (net.Conn, chan error) {
		c, err := net.Dial("tcp", g.port.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		end := make(chan error, 1)
		go func() {
			c.SetReadDeadline(time.Now().Add(20 * time.Second))
			_, err := io.Copy(io.Discard, c)
			end <- err
		}()
		return c, end
	}
	for i := range 3 {
		c, end := client()
		until(t, g.r, func() bool { return g.port.Stats().Refused == uint64(i+1) })
		if e, ok := (<-end).(net.Error); ok && e.Timeout() {
			t.Error("the client hears nothing") // TCP-21
		}
		c.Close()
		if len(g.log.with("WARN", "descriptors")) == 0 {
			t.Errorf("nothing in the log: %q", g.log.lines)
		}
	}
	if s := g.port.Stats(); s.Open != 0 || !g.port.Listening() {
		t.Errorf("%+v", s)
	}
	for _, fd := range taken[:10] {
		unix.Close(fd)
	}
	taken = taken[10:]
	c, end := client()
	until(t, g.r, func() bool { return g.port.Stats().Open == 1 })
	c.Close()
	<-end
	until(t, g.r, func() bool { return g.port.Stats().Open == 0 })
}
