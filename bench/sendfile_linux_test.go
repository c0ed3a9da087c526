package main

import (
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// sinkAddr is the variable of the environment that names where TestSink connects to.
const sinkAddr = "WHORL_BENCH_SINK"

// TestSink is the client of BenchmarkSendFile, in a process of its own: it reads all that comes.
func TestSink(t *testing.T) {
	addr := os.Getenv(sinkAddr)
	if addr == "" {
		t.Skip("it is started by BenchmarkSendFile")
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for buf := make([]byte, 1<<20); err == nil; {
		_, err = c.Read(buf)
	}
	if err != io.EOF {
		t.Fatal(err)
	}
}

// startSink runs a TestSink. The function that it returns waits for its end.
func startSink(b *testing.B, addr string) (wait func()) {
	b.Helper()
	b.Setenv(sinkAddr, addr)
	c, err := startChild(os.Args[0], nil, "-test.run", "^TestSink$")
	if err != nil {
		b.Fatal(err)
	}
	return func() {
		c.in.Close()
		for range c.lines {
		}
		if err := c.cmd.Wait(); err != nil {
			b.Fatal(err, c.stderr.String())
		}
	}
}

// processorTime is what this process has used of the processors, in user and system mode.
func processorTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const sentFile = 1 << 30

// BenchmarkSendFile sends a file of 1 GiB that is in memory over a connection of the loopback. The figure to look at is the
// time that the process has used of the processors for it; the peer is another process.
//
//	whorl         flow.SendFile
//	whorl-maywait the same, without looking whether the file is in memory
//	whorl-read    flow.SendFile of a reader, which it must read
//	net           io.Copy of package net, which uses sendfile
//	net-read      io.Copy of a reader
func BenchmarkSendFile(b *testing.B) {
	name := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Truncate(name, sentFile); err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { f.Close() })
	if n, err := io.Copy(io.Discard, f); n != sentFile || err != nil {
		b.Fatal(n, err)
	}
	type readOnly struct{ io.ReaderAt }
	for _, way := range []struct {
		name string
		send func(b *testing.B)
	}{
		{"whorl", func(b *testing.B) { sendByWhorl(b, f, nil) }},
		{"whorl-maywait", func(b *testing.B) { sendByWhorl(b, f, &flow.FileOptions{MayWait: true}) }},
		{"whorl-read", func(b *testing.B) { sendByWhorl(b, readOnly{f}, nil) }},
		{"net", func(b *testing.B) { sendByNet(b, f) }},
		{"net-read", func(b *testing.B) { sendByNet(b, struct{ io.Reader }{f}) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.SetBytes(sentFile)
			used := time.Duration(0)
			for b.Loop() {
				if _, err := f.Seek(0, io.SeekStart); err != nil {
					b.Fatal(err)
				}
				before := processorTime(b)
				way.send(b)
				used += processorTime(b) - before
			}
			b.ReportMetric(float64(used.Milliseconds())/float64(b.N), "cpu-ms/GiB")
		})
	}
}

// fileServer sends a file to the client and closes.
type fileServer struct {
	reactor.Base
	send func(t reactor.Transport)
	lost bool
}

func (s *fileServer) ConnectionMade(t reactor.Transport) { s.send(t); t.Close() }
func (s *fileServer) DataReceived([]byte)                {}
func (s *fileServer) ConnectionLost(error)               { s.lost = true }

func sendByWhorl(b *testing.B, src io.ReaderAt, o *flow.FileOptions) {
	k, err := native.Open("epoll")
	if err != nil {
		b.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	defer r.Close()
	sent := int64(-1)
	s := &fileServer{send: func(t reactor.Transport) {
		own := flow.FileOptions{}
		if o != nil {
			own = *o
		}
		own.Done = func(n int64, err error) {
			if sent = n; err != nil {
				b.Error(err)
			}
		}
		if _, err := flow.SendFile(t, src, &own); err != nil {
			b.Error(err)
		}
	}}
	p, err := r.Listen(kernel.Addr{Net: kernel.TCP, IP: netip.MustParseAddrPort("127.0.0.1:0")}, reactor.One(s), nil)
	if err != nil {
		b.Fatal(err)
	}
	wait := startSink(b, p.Addr().String())
	for !s.lost || sent < 0 {
		if err := r.Turn(kernel.Forever); err != nil {
			b.Fatal(err)
		}
	}
	wait()
	if sent != sentFile {
		b.Fatalf("%d bytes were sent", sent)
	}
}

func sendByNet(b *testing.B, src io.Reader) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	wait := startSink(b, l.Addr().String())
	c, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	if n, err := io.Copy(c, src); n != sentFile || err != nil {
		b.Fatal(n, err)
	}
	c.Close()
	wait()
}
