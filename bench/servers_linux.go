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
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// server is one way to serve an echo. start listens on a free port of 127.0.0.1, calls
// listening with the address, and then serves until the process ends.
type server struct {
	name  string
	about string
	start func(*serverParams) error
	tls   bool          // it supports TLS
	rest  time.Duration // how long after the last message it may still work, such as shrink buffers
}

// serverParams holds the parameters of a server.
type serverParams struct {
	listening func(net.Addr)
	tls       *tls.Config // nil: no TLS
	workers   int         // how many compute handshakes, if the server has workers
	late      *lateness   // nil: do not measure it
}

// shrinkIdle is how long a connection of whorl-shrink must be idle before its memory is
// shrunk.
const shrinkIdle = 100 * time.Millisecond

// servers are all servers. Each is written the way its users would write it.
var servers = []server{
	{name: "whorl", about: "a reactor on epoll", start: whorlOn("epoll", 0), tls: true},
	{name: "whorl-shrink", about: "the same, with tlsio's ShrinkIdle", start: whorlOn("epoll", shrinkIdle), tls: true, rest: 4 * shrinkIdle},
	{name: "whorl-poll", about: "a reactor on poll", start: whorlOn("poll", 0), tls: true},
	{name: "whorl-select", about: "a reactor on select: at most some 1000 connections", start: whorlOn("select", 0), tls: true},
	{name: "whorl-netconn", about: "package netconn on epoll: the goroutines of net, on the loop's connections", start: serveNetconn, tls: true},
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

// serveSpec holds the parameters of a server process.
type serveSpec struct {
	Name    string
	TLS     bool
	Workers int  // 0: as many as tlsio would choose
	Watch   bool // measure how late its loop is
}

// serve runs a server process. The process ends when its standard input does, so that
// nothing keeps running if the runner dies. The first line it prints is its hello. It
// answers each line that it reads with another.
func serve(spec string) error {
	var o serveSpec
	if err := json.Unmarshal([]byte(spec), &o); err != nil {
		return err
	}
	raiseFileLimit()
	s := serverOf(o.Name)
	if s == nil {
		return fmt.Errorf("no server %q", o.Name)
	}
	what := serverParams{workers: workersOf(o.Workers)}
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

// workersOf returns n if it is positive. Otherwise it returns the default of
// tlsio.Options.Workers, so that the table can show it.
func workersOf(n int) int {
	if n > 0 {
		return n
	}
	return max(1, runtime.GOMAXPROCS(0)-1)
}

// hello is the first line that a server prints.
type hello struct {
	Addr    string
	Workers int // how many compute handshakes; 0 if it has none
}

// memory is what the Go runtime reports of its own memory after a collection, in bytes.
type memory struct{ Heap, Stacks uint64 }

func readMemory() memory {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // the second one frees what the first one finalized
	runtime.ReadMemStats(&m)
	return memory{Heap: m.HeapAlloc, Stacks: m.StackInuse}
}

func whorlOn(kernelName string, shrink time.Duration) func(*serverParams) error {
	return func(s *serverParams) error {
		k, err := native.Open(kernelName)
		if err != nil {
			return err
		}
		r := reactor.New(k, reactor.Config{})
		f := reactor.Each[echo]()
		if s.tls != nil {
			f = tlsio.Server(s.tls, f, &tlsio.Options{Workers: s.workers, ShrinkIdle: shrink, MaxPendingPerPeer: -1}) // all clients have one address
		}
		port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), f, nil)
		if err != nil {
			return err
		}
		s.watch(r)
		s.listening(port.Addr())
		return r.Run(context.Background())
	}
}

// watch measures how late calls of r are, if that is wanted.
func (s *serverParams) watch(r *reactor.Reactor) {
	if s.late != nil {
		var call reactor.DelayedCall
		call.Init(r, func() { call.Reset(s.late.called(time.Now())) })
		call.Reset(0)
	}
}

func serveNet(s *serverParams) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.listening(l.Addr())
	if s.tls != nil {
		l = tls.NewListener(l, s.tls)
	}
	if s.late != nil { // there is no loop, so a goroutine is measured instead
		go func() {
			for {
				time.Sleep(s.late.called(time.Now()))
			}
		}()
	}
	return echoOn(l)
}

// serveNetconn is serveNet on a Listener of package netconn.
func serveNetconn(s *serverParams) error {
	k, err := native.Open("epoll")
	if err != nil {
		return err
	}
	r := reactor.New(k, reactor.Config{})
	o := new(netconn.ListenConfig)
	if s.tls != nil {
		o.Over = func(f reactor.Factory) reactor.Factory {
			return tlsio.Server(s.tls, f, &tlsio.Options{Workers: s.workers, MaxPendingPerPeer: -1})
		}
	}
	l, err := netconn.Listen(r, kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), o)
	if err != nil {
		return err
	}
	s.watch(r)
	s.listening(l.Addr())
	go func() { _ = echoOn(l) }()
	return r.Run(context.Background())
}

// echoOn echoes on each connection of l, by a goroutine for each.
func echoOn(l net.Listener) error {
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

func serveNetpoll(s *serverParams) error {
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
		return in.Release() // after Flush, because long slices are written without copying
	})
	if err != nil {
		return err
	}
	s.listening(l.Addr())
	return loop.Serve(l)
}
