//go:build unix

package reactor_test

import (
	"fmt"
	"net"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// loser is a passer that hears of lost descriptors.
type loser struct{ passer }

func (l *loser) DescriptorsLost(n int) { l.events = append(l.events, fmt.Sprint("lost ", n)) }

// A receiver without free numbers hears of each message that has lost descriptors, before the bytes that came with it, and gets those
// that come later.
func TestDescriptorsLost(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			if _, ok := kernel.As[kernel.Descriptors](r.Kernel()); !ok {
				t.Skip("no descriptors")
			}
			srv := &loser{}
			o := &reactor.ListenConfig{}
			o.Descriptors = true
			port, err := r.Listen(socketName(t), one(srv), o)
			if err != nil {
				t.Fatal(err)
			}
			cli, err := net.Dial("unix", port.Addr().Name)
			if err != nil {
				t.Fatal(err)
			}
			defer cli.Close()
			fd, _ := number(t, r)
			rights := syscall.UnixRights(fd)
			send := func(text string) {
				if _, _, err := cli.(*net.UnixConn).WriteMsgUnix([]byte(text), rights, nil); err != nil {
					t.Fatal(err)
				}
			}
			send("one")
			until(t, r, func() bool { return len(srv.fds) == 1 && string(srv.got) == "one" })
			send("two")
			done := testworld.Crowd(t, 0)
			until(t, r, func() bool { return string(srv.got) == "onetwo" })
			done()
			send("three")
			until(t, r, func() bool { return string(srv.got) == "onetwothree" })
			if got := fmt.Sprint(srv.events); got != "[made descriptor data lost 1 data descriptor data]" || len(srv.fds) != 2 {
				t.Errorf("%v, %d descriptors", got, len(srv.fds))
			}
			closeNumber(t, r, append(srv.fds, fd)...)
		})
	}
}
