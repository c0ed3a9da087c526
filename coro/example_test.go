package coro_test

import (
	"bufio"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/sim"
)

// greet is a conversation: a protocol as straight-line code.
func greet(s *coro.Session) error {
	fmt.Fprint(s, "220 hello\n")
	for sc := bufio.NewScanner(s); sc.Scan(); { // Read lets the loop go on while nothing is there
		if sc.Text() == "QUIT" {
			fmt.Fprint(s, "221 bye\n")
			return nil // Close; an error would Abort
		}
		fmt.Fprintf(s, "250 %s\n", sc.Text())
	}
	return nil
}

func Example() {
	n := sim.New(1) // or reactor.New on a native kernel
	srv, cli := n.Host("srv"), n.Host("cli")
	srv.Reactor.Listen(srv.Addr(25), coro.Factory(greet), nil)

	c := coro.Go(cli.Reactor, func(c *coro.Coroutine) error {
		s, err := coro.Dial(c, srv.Addr(25), nil)
		if err != nil {
			return err
		}
		defer s.Close()
		answers := bufio.NewScanner(s)
		for _, line := range []string{"NOOP", "QUIT"} {
			answers.Scan()
			fmt.Println(answers.Text())
			fmt.Fprintln(s, line)
			c.Sleep(time.Second)
		}
		for answers.Scan() {
			fmt.Println(answers.Text())
		}
		return answers.Err()
	})
	n.RunUntil(c.Ended, time.Minute)
	n.Close()
	// Output:
	// 220 hello
	// 250 NOOP
	// 221 bye
}

func ExampleSession_SetReadTimeout() {
	patient := func(s *coro.Session) error {
		s.SetReadTimeout(10 * time.Second)
		_, err := s.Read(make([]byte, 100))
		fmt.Println(err, "after", s.Reactor().Now().Round(time.Second))
		return err
	}
	n := sim.New(1)
	srv, cli := n.Host("srv"), n.Host("cli")
	srv.Reactor.Listen(srv.Addr(7), coro.Factory(patient), nil)
	cli.Reactor.Dial(srv.Addr(7), coro.Factory(func(s *coro.Session) error { return s.Sleep(coro.NoDeadline) }), nil, nil)
	n.Run(time.Minute)
	n.Close()
	// Output:
	// i/o timeout after 10s
}

func ExampleWait() {
	n := sim.New(1)
	h := n.Host("h")
	n.Host("whorl.example")
	r := h.Reactor
	c := coro.Go(r, func(c *coro.Coroutine) error {
		ips, err := coro.Wait(c, func(done func([]netip.Addr, error)) func() {
			return r.Resolve("whorl.example", done)
		})
		fmt.Println(len(ips) > 0, err)
		return nil
	})
	n.RunUntil(c.Ended, time.Minute)
	n.Close()
	// Output:
	// true <nil>
}

func ExampleAwait() {
	n := sim.New(1)
	r := n.Host("h").Reactor
	c := coro.Go(r, func(c *coro.Coroutine) error {
		page := deferred.Later(r, time.Hour, func() (string, error) { return "page", nil })
		_, err := coro.Await(c, page.Timeout(time.Second))
		fmt.Println(errors.Is(err, deferred.ErrTimeout))
		return nil
	})
	n.RunUntil(c.Ended, time.Minute)
	n.Close()
	// Output:
	// true
}

func ExampleListener() {
	n := sim.New(1)
	srv, cli := n.Host("srv"), n.Host("cli")
	l := new(coro.Listener)
	srv.Reactor.Listen(srv.Addr(7), l, nil)
	coro.Go(srv.Reactor, func(c *coro.Coroutine) error {
		for i := 1; ; i++ {
			s, err := l.Accept(c)
			if err != nil {
				return err
			}
			coro.Go(srv.Reactor, func(*coro.Coroutine) error {
				defer s.Close()
				_, err := fmt.Fprintln(s, "you are number", i)
				return err
			})
		}
	})
	for range 2 {
		cli.Reactor.Dial(srv.Addr(7), coro.Factory(func(s *coro.Session) error {
			line, err := bufio.NewReader(s).ReadString('\n')
			fmt.Print(line)
			return err
		}), nil, nil)
		n.Run(time.Second)
	}
	n.Close()
	// Output:
	// you are number 1
	// you are number 2
}
