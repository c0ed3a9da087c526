package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/cloudwego/netpoll"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// server is one way to serve an echo. Its start listens on a free port of
// 127.0.0.1, tells where, and then serves until the process ends.
type server struct {
	name  string
	about string
	start func(*serving) error
	tls   bool          // it can do TLS
	rest  time.Duration // how long after the last message it does something about it
}

// serving is what a server is to do.
type serving struct {
	listening func(net.Addr)
	tls       *tls.Config // nil: no TLS
	workers   int         // that handshakes may use, where there is such a thing
	late      *lateness   // nil: nobody asks
}

// shrinkIdle is how long a connection of whorl-shrink is idle before it is shrunk.
const shrinkIdle = 100 * time.Millisecond

// servers are all there are. Each is written the way its users would write it.
var servers = []server{
	{name: "whorl", about: "a reactor on epoll", start: whorlOn("epoll", 0), tls: true},
	{name: "whorl-shrink", about: "the same, with tlsio's ShrinkIdle", start: whorlOn("epoll", shrinkIdle), tls: true, rest: 4 * shrinkIdle},
	{name: "whorl-poll", about: "a reactor on poll", start: whorlOn("poll", 0), tls: true},
	{name: "whorl-select", about: "a reactor on select: at most some 1000 connections", start: whorlOn("select", 0), tls: true},
	{name: "net", about: "package net (with TLS: crypto/tls), a goroutine and 4 KiB per connection; ratios refer to it", start: serveNet, tls: true},
	{name: "netpoll", about: "github.com/cloudwego/netpoll; no TLS", start: serveNetpoll},
}

func serverOf(name string) *server {
	for i := range servers {
		if servers[i].name == name {
			return &servers[i]
		}
	}
	return nil
}

func isServer(name string) bool { return serverOf(name) != nil }

// serveOrder is what a server process is told when it starts.
type serveOrder struct {
	Name    string
	TLS     bool
	Workers int  // 0: as many as tlsio would choose
	Watch   bool // its loop's lateness
}

// serve is the life of a server process. It ends with its standard input, so
// that nothing keeps running when the runner dies. The first line it prints is
// its hello; each line it then reads is answered.
func serve(spec string) error {
	var o serveOrder
	if err := json.Unmarshal([]byte(spec), &o); err != nil {
		return err
	}
	raiseFileLimit()
	s := serverOf(o.Name)
	if s == nil {
		return fmt.Errorf("no server %q", o.Name)
	}
	what := serving{workers: workersOf(o.Workers)}
	if o.Watch {
		what.late = new(lateness)
	}
	if o.TLS {
		if !s.tls {
			return fmt.Errorf("%s speaks no TLS", s.name)
		}
		var err error
		if what.tls, err = serverTLS(); err != nil {
			return err
		}
	}
	out := json.NewEncoder(os.Stdout)
	what.listening = func(a net.Addr) {
		h := hello{Addr: a.String()}
		if o.TLS && s.pools() {
			h.Workers = what.workers
		}
		_ = out.Encode(h)
	}
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			switch in.Text() {
			case "lateness":
				_ = out.Encode(what.late.take())
			case "free":
				debug.FreeOSMemory()
				_ = out.Encode(readMemory())
			default:
				_ = out.Encode(readMemory())
			}
		}
		os.Exit(0)
	}()
	return s.start(&what)
}

// pools tells whether the server computes handshakes on a pool of workers.
func (s *server) pools() bool { return strings.HasPrefix(s.name, "whorl") }

// workersOf is n, or what tlsio.Options.Workers says is the default, so that the table
// can tell.
func workersOf(n int) int {
	if n > 0 {
		return n
	}
	return max(1, runtime.GOMAXPROCS(0)-1)
}

// hello is a server's first line.
type hello struct {
	Addr    string
	Workers int // for handshakes; 0 where there is no such thing
}

// memory is what a Go program knows of its own, in bytes, after a collection.
type memory struct{ Heap, Stacks uint64 }

func readMemory() memory {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what the first one found to finalize goes with the second
	runtime.ReadMemStats(&m)
	return memory{Heap: m.HeapAlloc, Stacks: m.StackInuse}
}

func whorlOn(kernelName string, shrink time.Duration) func(*serving) error {
	return func(s *serving) error {
		k, err := native.Open(kernelName)
		if err != nil {
			return err
		}
		r := reactor.New(k, reactor.Config{})
		f := reactor.Each[echo]()
		if s.tls != nil {
			f = tlsio.Server(s.tls, f, &tlsio.Options{Workers: s.workers, ShrinkIdle: shrink})
		}
		// The peers send small segments at once unless told otherwise.
		o := &reactor.ListenConfig{}
		o.NoDelay = true
		port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), f, o)
		if err != nil {
			return err
		}
		if s.late != nil {
			var call reactor.DelayedCall
			call.Init(r, func() { call.Reset(s.late.called(time.Now())) })
			call.Reset(0)
		}
		s.listening(port.Addr())
		return r.Run(context.Background())
	}
}

func serveNet(s *serving) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.listening(l.Addr())
	if s.tls != nil {
		l = tls.NewListener(l, s.tls)
	}
	if s.late != nil { // there is no loop: a goroutine stands for all of them
		go func() {
			for {
				time.Sleep(s.late.called(time.Now()))
			}
		}()
	}
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

func serveNetpoll(s *serving) error {
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
	s.listening(l.Addr())
	return loop.Serve(l)
}
