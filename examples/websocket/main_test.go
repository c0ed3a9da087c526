package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

func TestMain(m *testing.M) { os.Exit(leaktest.Main(m)) }

// start starts a site with two loops on a free port. stop ends it, and returns what serve has returned.
func start(t *testing.T) (addr string, stop func() error) {
	t.Helper()
	g, err := reactor.NewGroup(reactor.GroupConfig{Loops: 2, Kernel: native.OpenGroup("", native.Options{})})
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(g, kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), false, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.serve(ctx) }()
	return s.l.Addr().String(), func() error {
		cancel()
		return <-served
	}
}

// user is a client by gobwas/ws.
type user struct {
	t *testing.T
	net.Conn
}

func enter(t *testing.T, addr, name string) *user {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, in, _, err := ws.Dial(ctx, "ws://"+addr+"/chat")
	if err != nil {
		t.Fatal(err)
	}
	if in != nil {
		t.Fatal("the server speaks first")
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	u := &user{t, c}
	u.say(name)
	return u
}

func (u *user) say(line string) {
	u.t.Helper()
	if err := wsutil.WriteClientText(u, []byte(line+"\n")); err != nil {
		u.t.Fatal(err)
	}
}

// hears reads messages until want comes.
func (u *user) hears(want string) {
	u.t.Helper()
	for {
		p, err := wsutil.ReadServerText(u)
		if err != nil {
			u.t.Fatalf("instead of %q: %v", want, err)
		}
		if string(p) == want+"\n" {
			return
		}
	}
}

// Users on both loops hear each other. The end of the server says goodbye.
func TestChat(t *testing.T) {
	addr, stop := start(t)
	var users []*user
	for i := range 6 {
		u := enter(t, addr, fmt.Sprintf("u%d", i))
		u.hears(fmt.Sprintf("* u%d joined", i))
		users = append(users, u)
	}
	for i, u := range users {
		u.say("hello")
		for _, v := range users {
			v.hears(fmt.Sprintf("u%d: hello", i))
		}
	}
	_ = users[0].Close()
	users[1].hears("* u0 left")
	other := enter(t, addr, "u1")
	other.hears("! u1 is taken")
	_ = other.Close()

	done := make(chan error, 1)
	go func() { done <- stop() }()
	for _, u := range users[1:] {
		for {
			if _, err := wsutil.ReadServerText(u); err != nil {
				var closed wsutil.ClosedError
				if !errors.As(err, &closed) || closed.Code != ws.StatusGoingAway {
					t.Errorf("the end is %v", err)
				}
				break
			}
		}
		_ = u.Close()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// curl gets the page, and asks for a WebSocket by hand.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip(err)
	}
	addr, stop := start(t)
	defer func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	text, err := exec.Command(curl, "-sf", "http://"+addr+"/").Output()
	if err != nil || !strings.Contains(string(text), "new WebSocket(") {
		t.Errorf("the page is %.100q, and %v", text, err)
	}
	const key = "x3JJHMbDL1EzLkh9GBhXDw=="
	text, _ = exec.Command(curl, "-si", "-m", "0.5", "--http1.1", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
		"-H", "Sec-WebSocket-Key: "+key, "http://"+addr+"/chat").Output() // it waits for the first message, in vain
	answer, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(text))), nil)
	if err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if got, want := answer.Header.Get("Sec-WebSocket-Accept"), base64.StdEncoding.EncodeToString(sum[:]); answer.StatusCode != 101 || got != want {
		t.Errorf("the answer is %v with %q, want %q", answer.Status, got, want)
	}
	text, _ = exec.Command(curl, "-si", "http://"+addr+"/chat").Output()
	if !strings.HasPrefix(string(text), "HTTP/1.1 426 ") {
		t.Errorf("the answer is %q", text)
	}
}
