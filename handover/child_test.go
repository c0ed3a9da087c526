package handover_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// childEnv makes the test binary a server: "KERNEL GENERATION PATH [WHERE]". WHERE is where it kills itself.
const childEnv = "WHORL_TEST_HANDOVER"

// server is the program of a child.
type server struct {
	program
	r   *reactor.Reactor
	gen int
	die string
}

// at kills the process if that is where it is to die.
func (s *server) at(where string) {
	if s.die == where {
		p, _ := os.FindProcess(os.Getpid())
		p.Kill()
		select {}
	}
}

func (s *server) BuildProtocol(kernel.Addr) reactor.Protocol {
	return &answerer{liner: liner{p: &s.program}}
}

func (s *server) Resume(state []byte, _ kernel.Addr) (reactor.Protocol, error) {
	return &answerer{liner: liner{p: &s.program, rest: state}}, nil
}

// answerer ends its connection after the next answer when it is drained.
type answerer struct {
	liner
	drains bool
}

func (a *answerer) DataReceived(p []byte) {
	before := len(a.rest)
	a.liner.DataReceived(p)
	if a.drains && len(a.rest) < before+len(p) {
		a.T.Close()
	}
}

func (a *answerer) Drain() { a.drains = true }

// child serves until it has handed over and drained. It prints its address and, when it alone serves, its generation. Every third
// generation moves no connections.
func child(how string) {
	s := &server{}
	var name string
	fmt.Sscan(how, &name, &s.gen, &s.path, &s.die)
	s.name = fmt.Sprint(s.gen)
	if s.gen%3 == 2 {
		s.stay = errors.New("not this one")
	}
	k, err := native.Open(name)
	if err != nil {
		fail(err)
	}
	s.r = reactor.New(k, reactor.Config{})
	s.r.CallWhenRunning(func() {
		s.taking = handover.Take(s.r, s.path, handover.TakeConfig{
			Offered: func(t *handover.Taking) {
				s.at("offered")
				s.listen()
				s.at("listened")
				t.Ready()
				s.at("ready")
			},
			Failed: func(err error) {
				if !errors.Is(err, handover.ErrNobody) {
					fail(err)
				}
				s.taking = nil
				s.listen()
				s.serves()
			},
			Stopped: func(_ *handover.Taking, err error) {
				s.at("stopped")
				s.serves()
			},
		})
	})
	if err := s.r.Run(context.Background()); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Println(err)
	os.Exit(1)
}

func (s *server) listen() {
	p, err := s.r.Listen(loopback(), s, nil)
	if err != nil {
		fail(err)
	}
	s.ports = append(s.ports, p)
}

func (s *server) serves() {
	_, err := handover.Offer(s.r, s.path, handover.OfferConfig{
		Sockets: func() []handover.Offered {
			s.at("sockets")
			return []handover.Offered{{Name: "place", Port: s.ports[0]}}
		},
		Handed: func(handover.Handed) {
			s.at("handed")
			s.r.Drain(reactor.DrainConfig{Done: func(aborted int) {
				if aborted > 0 {
					fail(fmt.Errorf("%d connections aborted", aborted))
				}
				s.r.Stop()
			}})
		},
		Taking: s.taking,
	})
	if err != nil {
		fail(err)
	}
	fmt.Println("serves", s.gen, s.ports[0].Addr())
}

// process is a child.
type process struct {
	*exec.Cmd
	out   *bufio.Scanner
	ended chan error
}

// start starts a child, and returns when it serves.
func start(t *testing.T, name, path string, gen int, die ...string) (*process, string) {
	t.Helper()
	p, at, err := try(t, name, path, gen, die...)
	if err != nil {
		t.Fatalf("generation %d: %v", gen, err)
	}
	return p, at
}

// try is start for a child that may end before it serves.
func try(t *testing.T, name, path string, gen int, die ...string) (*process, string, error) {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0]), ended: make(chan error, 1)}
	p.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %s %s", childEnv, name, gen, path, strings.Join(die, "")), "GORACE=atexit_sleep_ms=0")
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	for p.out.Scan() {
		line := p.out.Text()
		if rest, ok := strings.CutPrefix(line, fmt.Sprintf("serves %d ", gen)); ok {
			go func() {
				for p.out.Scan() {
				}
				p.ended <- p.Wait()
			}()
			return p, rest, nil
		}
		p.Wait()
		return nil, "", errors.New(line)
	}
	return nil, "", p.Wait()
}

// Each program is killed at each step. Before the successor is ready, the old program serves on, and afterwards the
// successor does. Whatever was left behind, the next one begins.
func TestKilled(t *testing.T) {
	for _, c := range []struct {
		old, successor string // where it dies
		serves         int    // the generation that serves afterwards; -1: none
	}{
		{successor: "offered", serves: 0},
		{successor: "listened", serves: 0},
		{successor: "ready", serves: 0}, // before the message has left
		{successor: "stopped", serves: -1},
		{old: "sockets", serves: -1},
		{old: "handed", serves: 1},
	} {
		t.Run(c.old+c.successor, func(t *testing.T) {
			path, name := socketPath(t), native.Names()[0]
			a, at := start(t, name, path, 0, c.old)
			b, _, err := try(t, name, path, 1, c.successor)
			if (err == nil) != (c.serves == 1) {
				t.Errorf("the successor: %v", err)
			}
			where := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(at))
			if c.serves != 0 {
				<-a.ended
			}
			if conn, err := net.DialTCP("tcp", nil, where); (err == nil) != (c.serves >= 0) {
				t.Errorf("dial: %v", err)
			} else if err == nil {
				if err := ask(conn, "x"); err != nil {
					t.Errorf("ask: %v", err)
				}
			}
			last, now := start(t, name, path, 2)
			if c.serves >= 0 && now != at {
				t.Errorf("the next one serves at %s, not %s", now, at)
			}
			switch c.serves {
			case 0:
				err = <-a.ended
			case 1:
				err = <-b.ended
			default:
				err = nil
			}
			if err != nil {
				t.Errorf("the one before ended with %v", err)
			}
			last.Process.Kill()
			<-last.ended
		})
	}
}

// A server is replaced 200 times under constant connecting: nobody is refused, and no answer is lost. Every third generation
// moves no connections, but drains them.
func TestTwoHundred(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no descriptors are passed")
	}
	names, rounds := native.Names(), 200
	for i, name := range names {
		if i > 0 || raced {
			rounds = 20 // the handing over is the same
		}
		t.Run(name, func(t *testing.T) {
			path := socketPath(t)
			p, at := start(t, name, path, 0)
			where := netip.MustParseAddrPort(at)
			var asked, refused, lost atomic.Int64
			stop := make(chan struct{})
			var clients sync.WaitGroup
			for range 3 {
				clients.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						asked.Add(1)
						if c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(where)); err != nil {
							refused.Add(1)
							t.Errorf("refused: %v", err)
						} else if err := ask(c, "x"); err != nil {
							lost.Add(1)
							t.Errorf("lost: %v", err)
						}
					}
				})
			}
			began := time.Now()
			for gen := 1; gen <= rounds; gen++ {
				next, now := start(t, name, path, gen)
				if now != at {
					t.Fatalf("generation %d serves at %s, not %s", gen, now, at)
				}
				if err := <-p.ended; err != nil {
					t.Fatalf("generation %d ended with %v", gen-1, err)
				}
				p = next
			}
			took := time.Since(began)
			close(stop)
			clients.Wait()
			p.Process.Kill()
			<-p.ended
			t.Logf("%d hand-overs, %v each; %d requests, %d refused, %d lost", rounds, took/time.Duration(rounds), asked.Load(), refused.Load(), lost.Load())
		})
	}
}

// ask sends a line, waits for the answer, and resets the connection, which leaves no port in TIME_WAIT.
func ask(c *net.TCPConn, line string) error {
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return err
	}
	got, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return fmt.Errorf("%q, %w", got, err)
	}
	if !strings.HasSuffix(got, ":"+line+"\n") {
		return fmt.Errorf("answered %q", got)
	}
	return c.SetLinger(0)
}
