package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net/netip"
	"os"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// dialling is how many users of a process connect at a time.
const dialling = 100

// users is a process of users. It says "up" when all have sent their names, and "heard" each time when all have heard one line more.
type users struct {
	r      *reactor.Reactor
	server kernel.Addr
	o      reactor.DialConfig
	which  int
	n      int
	begun  int
	up     int
	lines  int
}

// crowd is the main function of a process of users.
func crowd(server string, which, n int) {
	a, err := netip.ParseAddrPort(server)
	if err != nil {
		log.Fatal(err)
	}
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	u := &users{r: reactor.New(k, reactor.Config{}), server: kernel.TCPAddr(a.Addr(), a.Port()), which: which, n: n}
	if a.Addr().IsLoopback() && a.Addr().Is4() {
		u.o.Bind = kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 1, byte(which + 1)}), 0)
	}
	u.r.Post(func() {
		for range dialling {
			u.next()
		}
	})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent ends
		os.Exit(0)
	}()
	log.Fatal(u.r.Run(context.Background()))
}

// next has one more user connect.
func (u *users) next() {
	if u.begun == u.n {
		return
	}
	c := &client{of: u, name: fmt.Sprintf("u%d.%d", u.which, u.begun)}
	u.begun++
	u.r.Dial(u.server, reactor.One(c), &u.o, func(_ reactor.Protocol, err error) {
		if err != nil {
			log.Fatal(err)
		}
	})
}

// client is a user. It answers pings, counts lines, and says nothing but its name.
type client struct {
	reactor.Base
	of       *users
	name     string
	in       []byte // what has come not whole
	accepted bool
}

func (c *client) ConnectionMade(t reactor.Transport) {
	c.Base.ConnectionMade(t)
	fmt.Fprint(t, request(c.of.server.String()))
}

func (c *client) DataReceived(p []byte) {
	c.in = append(c.in, p...)
	if !c.accepted {
		_, rest, whole := bytes.Cut(c.in, []byte("\r\n\r\n"))
		if !whole {
			return
		}
		if !bytes.HasPrefix(c.in, []byte("HTTP/1.1 101 ")) {
			log.Fatalf("the server says %q", c.in)
		}
		c.accepted, c.in = true, rest
		fmt.Fprint(c.T, frame(c.name+"\n"))
		c.name = ""
		c.of.upped()
	}
	for len(c.in) >= 2 {
		n := 2 + int(c.in[1]) // the server's frames are short here, and have no mask
		if n >= 2+126 {
			log.Fatalf("a long frame came: % x", c.in[:2])
		}
		if len(c.in) < n {
			return
		}
		c.take(c.in[0]&0xf, c.in[2:n])
		c.in = c.in[n:]
	}
	if len(c.in) == 0 {
		c.in = nil
	}
}

func (c *client) take(op byte, p []byte) {
	switch op {
	case 1:
		if u := c.of; bytes.HasPrefix(p, []byte("!")) {
			log.Fatalf("the server says %q", p)
		} else if u.lines++; u.lines%u.n == 0 {
			fmt.Println("heard")
		}
	case 9:
		_, _ = c.T.Write([]byte{0x8a, 0x80, 0, 0, 0, 0})
	}
}

func (u *users) upped() {
	if u.up++; u.up == u.n {
		fmt.Println("up")
	}
	u.next()
}

func (c *client) ConnectionLost(err error) { log.Fatalf("a user was lost: %v", err) }

// request asks for a WebSocket.
func request(host string) string {
	return "GET /chat HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
}

// frame is a short text message of a client, with a mask of zeros.
func frame(text string) string {
	return "\x81" + string([]byte{0x80 | byte(len(text))}) + "\x00\x00\x00\x00" + text
}
