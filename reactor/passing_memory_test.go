//go:build unix

package reactor_test

import (
	"runtime"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// taker closes the descriptors that it gets, and counts bytes.
type taker struct {
	reactor.Base
	fds, bytes int
}

func (k *taker) DataReceived(p []byte) { k.bytes += len(p) }
func (k *taker) DescriptorReceived(fd int) {
	k.fds++
	_ = k.T.Reactor().CloseDescriptor(fd)
}

// A connection that has received a descriptor with much data, and is idle then, keeps no memory for that.
func TestDescriptorsKeepNoMemory(t *testing.T) {
	passing(t, func(t *testing.T, w testworld.World) {
		if w.Simulated() {
			t.Skip("simulated sockets keep their buffers")
		}
		const peers, size = 40, 100 << 10
		r := w.New(t, reactor.Config{})
		var all []*taker
		o := &reactor.ListenConfig{}
		o.Descriptors = true
		port, err := r.Listen(socketName(t), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			all = append(all, new(taker))
			return all[len(all)-1]
		}), o)
		if err != nil {
			t.Fatal(err)
		}
		k := w.Open(t)
		defer k.Close()
		var conns []kernel.Conn
		for range peers {
			c, err := k.Dial(port.Addr(), &kernel.DialOptions{StreamOptions: kernel.StreamOptions{Descriptors: true}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conns = append(conns, c)
		}
		until(t, r, func() bool { return len(all) == peers })
		fd, err := must(kernel.As[kernel.Descriptors](k)).DescriptorOf(conns[0])
		if err != nil {
			t.Fatal(err)
		}
		defer must(kernel.As[kernel.Descriptors](k)).CloseDescriptor(fd)
		data := make([]byte, size)
		before := heap()
		for i, c := range conns {
			n, err := c.Write(data)
			if err != nil {
				t.Fatal(err)
			}
			if m, err := must(kernel.ConnAs[kernel.Passing](c)).WriteDescriptors([]byte("x"), []int{fd}); m != 1 || err != nil {
				t.Fatal(m, err)
			}
			until(t, r, func() bool { return all[i].fds == 1 && all[i].bytes == n+1 })
		}
		if kept := int(heap()) - int(before); kept > peers*size/4 {
			t.Errorf("%d idle connections keep %d bytes", peers, kept)
		}
		runtime.KeepAlive(all)
		for _, x := range all {
			x.T.Abort()
		}
		port.StopListening(nil)
		until(t, r, func() bool { return r.Stats().Connections == 0 })
	})
}
