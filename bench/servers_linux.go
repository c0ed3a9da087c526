package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"

	"github.com/cloudwego/netpoll"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// server is one way to serve an echo. Its start listens on a free port of
// 127.0.0.1, tells where, and then serves until the process ends.
type server struct {
	name  string
	about string
	start func(listening func(net.Addr)) error
}

// servers are all there are. Each is written the way its users would write it.
var servers = []server{
	{"whorl", "a reactor on epoll", whorlOn("epoll")},
	{"whorl-poll", "a reactor on poll", whorlOn("poll")},
	{"whorl-select", "a reactor on select: at most some 1000 connections", whorlOn("select")},
	{"net", "package net, a goroutine and 4 KiB per connection; ratios refer to it", serveNet},
	{"netpoll", "github.com/cloudwego/netpoll", serveNetpoll},
}

func serverOf(name string) *server {
	for i := range servers {
		if servers[i].name == name {
			return &servers[i]
		}
	}
	return nil
}

// serve is the life of a server process. It ends with its standard input, so
// that nothing keeps running when the runner dies. The first line it prints is
// its address; each line it then reads is answered with its memory.
func serve(name string) error {
	raiseFileLimit()
	out := json.NewEncoder(os.Stdout)
	listening := func(a net.Addr) { _ = out.Encode(hello{a.String()}) }
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			_ = out.Encode(readMemory())
		}
		os.Exit(0)
	}()
	s := serverOf(name)
	if s == nil {
		return fmt.Errorf("no server %q", name)
	}
	return s.start(listening)
}

// hello is a server's first line.
type hello struct{ Addr string }

// memory is what a Go program knows of its own, in bytes, after a collection.
type memory struct{ Heap, Stacks uint64 }

func readMemory() memory {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one found to finalize goes with the second
	runtime.ReadMemStats(&m)
	return memory{Heap: m.HeapAlloc, Stacks: m.StackInuse}
}

// echo is the whole protocol: what arrives goes back.
type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { _, _ = e.T.Write(p) }

func whorlOn(kernelName string) func(func(net.Addr)) error {
	return func(listening func(net.Addr)) error {
		k, err := native.Open(kernelName)
		if err != nil {
			return err
		}
		r := reactor.New(k, reactor.Config{})
		// The peers send small segments at once unless told otherwise.
		o := &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{NoDelay: true}}
		port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.Each[echo](), o)
		if err != nil {
			return err
		}
		listening(port.Addr())
		return r.Run(context.Background())
	}
}

func serveNet(listening func(net.Addr)) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	listening(l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 4<<10)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				if _, err := c.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func serveNetpoll(listening func(net.Addr)) error {
	l, err := netpoll.CreateListener("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	loop, err := netpoll.NewEventLoop(func(_ context.Context, c netpoll.Connection) error {
		in, out := c.Reader(), c.Writer()
		p, err := in.Next(in.Len())
		if err != nil {
			return err
		}
		if _, err := out.WriteBinary(p); err != nil {
			return err
		}
		if err := out.Flush(); err != nil {
			return err
		}
		return in.Release() // after Flush: long slices are written from where they lie
	})
	if err != nil {
		return err
	}
	listening(l.Addr())
	return loop.Serve(l)
}
