package main

import (
	"context"
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const redisUsage = `Usage: go run . redis [flags]

Compares servers of the Redis protocol under redis-benchmark, which must be installed:
redis-server with one thread for I/O and nothing kept on disk, the server of
examples/resp on one loop, and servers on package net with a goroutine for each
connection: net has the parser of examples/resp, net-bufio is written with package
bufio, as usual, and net-simple is the same with a write for each answer. Each answers GET and SET without and with pipelining. Servers take turns,
and ratios are computed between turns that follow each other.

One more can be asked for by -servers: floor, a bare loop on epoll that answers without
looking at what it was asked. It shows what the system calls alone cost.

Flags:
`

// redisLoad is one workload: a test of redis-benchmark with a number of requests
// outstanding on each connection.
type redisLoad struct {
	test     string
	pipeline int
}

func (l redisLoad) name() string { return fmt.Sprintf("%s -P %d", strings.ToUpper(l.test), l.pipeline) }

// redisRunner measures servers of the Redis protocol.
type redisRunner struct {
	options
	exe        string
	dir        string // of redis-server
	serverCPUs []int
	loadCPUs   []int
	conns      int
	keys       int
	size       int
	scale      float64
	servers    []*redisServer
}

// redisServer is a server that runs.
type redisServer struct {
	name string
	port string
	pid  int
	stop func()
}

// floor is the name of the server that does nothing but read and write.
const floor = "floor"

// redis is the command "redis".
func redis(args []string) error {
	r, err := parseRedis(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if r.dir, err = os.MkdirTemp("", "bench-redis"); err != nil {
		return err
	}
	defer os.RemoveAll(r.dir)
	defer func() {
		for _, s := range r.servers {
			s.stop()
		}
	}()
	names := strings.Split(r.options.servers, ",")
	for _, name := range names {
		s, err := r.start(ctx, name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.servers = append(r.servers, s)
		if name == floor {
			continue // it knows no answers
		}
		if err := s.probe(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	var results []result
	for _, l := range []redisLoad{{"set", 1}, {"get", 1}, {"set", 16}, {"get", 16}} {
		res, err := r.run(ctx, l)
		if err != nil {
			return err
		}
		results = append(results, res)
	}
	for _, reference := range names {
		if reference == "redis-server" || reference == "net" {
			report(os.Stdout, results, reference, r.markdown)
		}
	}
	return nil
}

func parseRedis(args []string) (*redisRunner, error) {
	r := new(redisRunner)
	f := flag.NewFlagSet("redis", flag.ContinueOnError)
	f.IntVar(&r.rounds, "rounds", 9, "how many `turns` each server gets in each workload")
	f.StringVar(&r.options.servers, "servers", "redis-server,whorl,net,net-bufio,net-simple", "comma-separated `names`")
	f.StringVar(&r.cpus, "cpus", "", "the `CPUs` of the servers, or all (default the first one)")
	f.IntVar(&r.loadCPU, "load-cpu", -1, "the `CPU` of redis-benchmark (default the first that is not the servers')")
	f.BoolVar(&r.markdown, "md", false, "print tables as markdown")
	f.IntVar(&r.conns, "c", 50, "`connections`")
	f.IntVar(&r.keys, "keys", 0, "how many random `keys` there are; 0: one key, as redis-benchmark has without -r")
	f.IntVar(&r.size, "d", 3, "`bytes` of a value")
	f.Float64Var(&r.scale, "scale", 1, "how long turns are, compared with the usual half second or so")
	f.Usage = func() {
		fmt.Fprint(f.Output(), redisUsage)
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	var place runner
	place.progress = os.Stderr
	if err := r.place(&place); err != nil {
		return nil, err
	}
	r.serverCPUs, r.loadCPUs = place.serverCPUs, place.loadCPUs
	var err error
	r.exe, err = os.Executable()
	fmt.Fprintf(os.Stderr, "%s %s/%s, servers on CPU %v, load on CPU %v, %d turns of each server\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, r.serverCPUs, r.loadCPUs, r.rounds)
	return r, err
}

// check refuses numbers with which redis-benchmark would never end, or measure nothing.
func (r *redisRunner) check() error {
	switch {
	case r.rounds < 1:
		return fmt.Errorf("-rounds %d: must be 1 or more", r.rounds)
	case r.conns < 1:
		return fmt.Errorf("-c %d: must be 1 or more", r.conns)
	case r.keys < 0:
		return fmt.Errorf("-keys %d: must not be negative", r.keys)
	case r.size < 1:
		return fmt.Errorf("-d %d: must be 1 or more", r.size)
	case !(r.scale >= 0.001 && r.scale <= 1000): // nor NaN
		return fmt.Errorf("-scale %v: must be from 0.001 to 1000", r.scale)
	}
	return nil
}

// start starts a server and waits until it listens.
func (r *redisRunner) start(ctx context.Context, name string) (*redisServer, error) {
	if name == "redis-server" {
		return r.startRedis()
	}
	c, err := startChild(r.exe, r.serverCPUs, "redis-serve", name)
	if err != nil {
		return nil, err
	}
	var h hello
	if err := c.ask(ctx, "", 10*time.Second, &h); err != nil {
		c.stop()
		return nil, err
	}
	_, port, err := net.SplitHostPort(h.Addr)
	return &redisServer{name, port, c.pid(), c.stop}, err
}

// startRedis starts redis-server, which dies with this process.
func (r *redisRunner) startRedis() (*redisServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	l.Close()
	cmd := exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--io-threads", "1", "--dir", r.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := pinned(r.serverCPUs, cmd.Start); err != nil {
		return nil, err
	}
	s := &redisServer{"redis-server", port, cmd.Process.Pid, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }}
	for range 100 {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			c.Close()
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stop()
	return nil, errors.New("it does not listen")
}

// redisProbe is a SET, a GET of the same key and one of another, and redisAnswer the answers.
const (
	redisProbe  = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nv\r\nal\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nget\r\n$4\r\nnone\r\n"
	redisAnswer = "+OK\r\n$5\r\nv\r\nal\r\n$-1\r\n"
)

// probe asks the server for what it was told, because redis-benchmark looks at no answer.
func (s *redisServer) probe() error {
	c, err := net.Dial("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, redisProbe); err != nil {
		return err
	}
	got := make([]byte, len(redisAnswer))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != redisAnswer {
		return fmt.Errorf("answered %q", got)
	}
	return nil
}

// run has every server take its turns.
func (r *redisRunner) run(ctx context.Context, l redisLoad) (result, error) {
	res := result{Workload: l.name(), Unit: "requests", Conns: r.conns}
	for _, s := range r.servers {
		res.Servers = append(res.Servers, s.name)
	}
	for round := range r.rounds {
		set := set{}
		for i := range r.servers {
			s := r.servers[(i+round)%len(r.servers)]
			var err error
			if set[s.name], err = r.turn(ctx, s, l); err != nil {
				return res, fmt.Errorf("%s with %s: %w", l.name(), s.name, err)
			}
		}
		res.Sets = append(res.Sets, set)
		fmt.Fprintf(os.Stderr, "\r%-12s %d/%d ", res.Workload, round+1, r.rounds)
	}
	fmt.Fprintln(os.Stderr)
	return res, nil
}

// turn has redis-benchmark load one server.
func (r *redisRunner) turn(ctx context.Context, s *redisServer, l redisLoad) (sample, error) {
	n := int(40_000 * r.scale)
	if l.pipeline > 1 {
		n *= 10
	}
	args := []string{"-h", "127.0.0.1", "-p", s.port, "-t", l.test, "-n", strconv.Itoa(n), "-P", strconv.Itoa(l.pipeline),
		"-c", strconv.Itoa(r.conns), "-d", strconv.Itoa(r.size), "--csv"}
	if r.keys > 0 {
		args = append(args, "-r", strconv.Itoa(r.keys))
	}
	cmd := exec.CommandContext(ctx, "redis-benchmark", args...)
	var out, complaints strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &complaints
	before, err := cpuTime(s.pid)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	if err := pinned(r.loadCPUs, cmd.Start); err != nil {
		return sample{}, err
	}
	if err := cmd.Wait(); err != nil {
		return sample{}, fmt.Errorf("redis-benchmark: %w: %s", err, complaints.String())
	}
	took := time.Since(began)
	after, err := cpuTime(s.pid)
	if err != nil {
		return sample{}, err
	}
	x := sample{PerCPU: float64(n) / (after - before).Seconds(), CPUShare: (after - before).Seconds() / took.Seconds()}
	x.PerSecond, x.P50, x.P99, err = latencies(out.String())
	return x, err
}

// latencies reads what redis-benchmark prints with --csv.
func latencies(text string) (perSecond, p50, p99 float64, err error) {
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 2 || len(rows[0]) != len(rows[1]) {
		return 0, 0, 0, fmt.Errorf("redis-benchmark printed %q", text)
	}
	of := func(column string) float64 {
		for i, head := range rows[0] {
			if head == column {
				x, err := strconv.ParseFloat(rows[1][i], 64)
				if err == nil {
					return x
				}
			}
		}
		return math.NaN()
	}
	return of("rps"), 1e3 * of("p50_latency_ms"), 1e3 * of("p99_latency_ms"), nil
}
