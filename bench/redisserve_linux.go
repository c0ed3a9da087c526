package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/whorl-go/whorl/examples/resp/kv"
	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// redisServe runs a server of the Redis protocol until the standard input ends.
func redisServe(name string) error {
	listening := func(a net.Addr) { _ = json.NewEncoder(os.Stdout).Encode(hello{Addr: a.String()}) }
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		}
		os.Exit(0)
	}()
	s := &netStore{keys: map[string][]byte{}}
	switch name {
	case "whorl":
		return serveKV(listening)
	case "net":
		return s.serve(listening, s.shared)
	case "net-bufio":
		return s.serve(listening, s.buffered)
	case "net-simple":
		return s.serve(listening, s.simple)
	case floor:
		return serveFloor(listening)
	}
	return fmt.Errorf("no server %q", name)
}

// serveKV is the server of examples/resp, on one loop.
func serveKV(listening func(net.Addr)) error {
	k, err := native.Open("epoll")
	if err != nil {
		return err
	}
	r := reactor.New(k, reactor.Config{})
	port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), new(kv.Server), nil)
	if err != nil {
		return err
	}
	listening(port.Addr())
	return r.Run(context.Background())
}

// netStore holds the keys of the servers on package net, which have GET and SET only: no expiry, no
// limits. A value is not changed once it is there.
type netStore struct {
	mu   sync.RWMutex
	keys map[string][]byte
}

// serve has a goroutine for each connection.
func (s *netStore) serve(listening func(net.Addr), each func(net.Conn)) error {
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
			each(c)
		}()
	}
}

// shared cuts what comes as the server of examples/resp does, by the same parser, and writes all
// answers to what one read brought at once.
func (s *netStore) shared(c net.Conn) {
	var parser kv.Parser
	commands := frame.Split{Find: parser.Find, MaxLength: 8 << 20}
	in, out := make([]byte, 16<<10), []byte(nil)
	var args [][]byte
	for {
		n, err := c.Read(in)
		if err != nil {
			return
		}
		out = out[:0]
		for command, err := range frame.All(&commands, in[:n]) {
			if err != nil {
				_, _ = fmt.Fprintf(c, "-ERR %v\r\n", err)
				return
			}
			if args = parser.AppendArgs(args[:0], command); len(args) > 0 {
				out = s.execute(out, args)
			}
		}
		if len(out) == 0 {
			continue // a part of a command
		}
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

// execute appends the answer to a command to out.
func (s *netStore) execute(out []byte, args [][]byte) []byte {
	switch name := args[0]; {
	case len(args) == 2 && (string(name) == "GET" || string(name) == "get"):
		s.mu.RLock()
		value, ok := s.keys[string(args[1])]
		s.mu.RUnlock()
		if !ok {
			return append(out, "$-1\r\n"...)
		}
		out = strconv.AppendInt(append(out, '$'), int64(len(value)), 10)
		return append(append(append(out, "\r\n"...), value...), "\r\n"...)
	case len(args) == 3 && (string(name) == "SET" || string(name) == "set"):
		value := append([]byte(nil), args[2]...)
		s.mu.Lock()
		s.keys[string(args[1])] = value
		s.mu.Unlock()
		return append(out, "+OK\r\n"...)
	}
	return append(out, "-ERR unknown command\r\n"...)
}

// buffered is the usual way to write it: with package bufio, arguments as strings of their own, and a
// flush when no command is left.
func (s *netStore) buffered(c net.Conn) {
	s.commands(c, func(in *bufio.Reader) bool { return in.Buffered() == 0 })
}

// simple writes each answer by itself, as a server does whose author has not thought of pipelines.
func (s *netStore) simple(c net.Conn) { s.commands(c, func(*bufio.Reader) bool { return true }) }

// commands answers commands. flush tells whether the answers so far are to be sent.
func (s *netStore) commands(c net.Conn, flush func(in *bufio.Reader) bool) {
	in, out := bufio.NewReader(c), bufio.NewWriter(c)
	for {
		args, err := readCommand(in)
		if err != nil {
			return
		}
		s.answer(out, args)
		if flush(in) && out.Flush() != nil {
			return
		}
	}
}

func readCommand(in *bufio.Reader) ([]string, error) {
	n, err := readLength(in, '*')
	if err != nil || n > 1024 {
		return nil, fmt.Errorf("%d arguments, %w", n, err)
	}
	args := make([]string, n)
	for i := range args {
		size, err := readLength(in, '$')
		if err != nil || size < 0 || size > 1<<20 {
			return nil, fmt.Errorf("an argument of %d bytes, %w", size, err)
		}
		arg := make([]byte, size+2)
		if _, err := io.ReadFull(in, arg); err != nil {
			return nil, err
		}
		args[i] = string(arg[:size])
	}
	return args, nil
}

func readLength(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	if line[0] != kind {
		return 0, fmt.Errorf("%q does not begin with %q", line, kind)
	}
	return strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
}

func (s *netStore) answer(out *bufio.Writer, args []string) {
	switch name := strings.ToUpper(args[0]); {
	case name == "GET" && len(args) == 2:
		s.mu.RLock()
		value, ok := s.keys[args[1]]
		s.mu.RUnlock()
		if !ok {
			_, _ = out.WriteString("$-1\r\n")
			return
		}
		_, _ = fmt.Fprintf(out, "$%d\r\n%s\r\n", len(value), value)
	case name == "SET" && len(args) == 3:
		s.mu.Lock()
		s.keys[args[1]] = []byte(args[2])
		s.mu.Unlock()
		_, _ = out.WriteString("+OK\r\n")
	default:
		_, _ = out.WriteString("-ERR unknown command\r\n")
	}
}
