package coro_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"hash/fnv"
	"io"
	"net/url"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic(err)
	}
	return u
}

// seeded is a run in which clients come and go, over TLS on both ends, with faults, and what it hashes to.
func seeded(t *testing.T, seed uint64) (uint64, string) {
	cryptotest.SetGlobalRandom(t, seed)
	n := sim.New(seed)
	n.Options.Chunk, n.Options.Spurious = 100, .1
	n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: 5 * time.Millisecond}
	srv, cli := n.Host("srv"), n.Host("cli")
	sum := fnv.New128a()
	sc := &tls.Config{Certificates: []tls.Certificate{tlstest.SelfSigned("srv.test")}, Time: tlstest.Time}
	cc := &tls.Config{InsecureSkipVerify: true, Time: tlstest.Time}
	p, err := srv.Reactor.Listen(srv.Addr(443), coro.Factory(func(s *coro.Session) error {
		c := tls.Server(&seen{s, sum}, sc)
		defer c.Close()
		for lines := bufio.NewScanner(c); lines.Scan(); {
			s.SetReadTimeout(time.Second)
			fmt.Fprintf(c, "%s at %v\n", lines.Text(), s.Reactor().Now())
		}
		return nil
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	over := 0
	for i := range 4 {
		coro.Go(cli.Reactor, func(c *coro.Coroutine) error {
			defer func() { over++ }()
			if err := c.Sleep(time.Duration(i) * 3 * time.Millisecond); err != nil {
				return err
			}
			s, err := coro.Dial(c, p.Addr(), nil)
			if err != nil {
				return err
			}
			defer s.Close()
			tc := tls.Client(&seen{s, sum}, cc)
			lines := bufio.NewReader(tc)
			for j := range 3 {
				fmt.Fprintf(tc, "client %d line %d\n", i, j)
				line, err := lines.ReadString('\n')
				if err != nil {
					return err
				}
				io.WriteString(sum, line)
				c.Sleep(time.Millisecond)
			}
			return tc.Close()
		})
	}
	heal := func() {}
	srv.Reactor.CallLater(20*time.Millisecond, func() { heal = n.Partition("srv", "cli") })
	srv.Reactor.CallLater(500*time.Millisecond, func() { heal() })
	if err := n.RunUntil(func() bool { return over == 4 }, time.Hour); err != nil {
		t.Fatal(err)
	}
	hash := n.Hash()
	n.Close()
	return hash, fmt.Sprintf("%x", sum.Sum(nil))
}

// seen is a Session whose input is also written to sum.
type seen struct {
	*coro.Session
	sum io.Writer
}

func (s *seen) Read(p []byte) (int, error) {
	n, err := s.Session.Read(p)
	s.sum.Write(p[:n])
	return n, err
}

// CORO-13: a seed is a run, to the last byte of ciphertext, with coroutines on both ends.
func TestSeedRepeats(t *testing.T) {
	seeds := uint64(20)
	if raced {
		seeds = 3
	}
	all := map[string]bool{}
	for seed := range seeds {
		a, text := seeded(t, seed)
		b, again := seeded(t, seed)
		if a != b || text != again {
			t.Fatalf("CORO-13: seed %d: %x %s and %x %s", seed, a, text, b, again)
		}
		all[text] = true
	}
	if len(all) < int(seeds) {
		t.Errorf("CORO-13: %d seeds are %d runs", seeds, len(all))
	}
}

// CORO-2: hosts that crash leave nothing behind, whatever the seed: their coroutines are unwound (leaktest counts them at the end).
func TestCrashes(t *testing.T) {
	for seed := range uint64(30) {
		n := sim.New(seed)
		srv, cli := n.Host("srv"), n.Host("cli")
		begun, ended := 0, 0
		srv.Start(func(h *sim.Host) {
			h.Reactor.Listen(h.Addr(7), coro.Factory(func(s *coro.Session) error {
				begun++
				defer func() { ended++ }()
				_, err := io.Copy(s, struct{ io.Reader }{s})
				return err
			}), nil)
		})
		cli.Start(func(h *sim.Host) {
			for range 3 {
				h.Reactor.Dial(srv.Addr(7), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
					return coro.Protocol(func(s *coro.Session) error {
						begun++
						defer func() { ended++ }()
						for {
							if _, err := s.Write([]byte("tick")); err != nil {
								return err
							}
							if err := s.Sleep(10 * time.Millisecond); err != nil {
								return err
							}
						}
					})
				}), nil, nil)
			}
		})
		n.Run(time.Duration(10+seed) * time.Millisecond)
		srv.Crash()
		n.Run(time.Second)
		n.Close()
		if begun == 0 || ended != begun {
			t.Fatalf("CORO-2: seed %d: %d have begun, %d have ended", seed, begun, ended)
		}
	}
}
