package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// serve serves on a free port of this machine until end is called.
func serve(t *testing.T, log io.Writer, login ...string) (addr string, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c, proxy, err := setUp(slog.New(slog.NewTextHandler(log, nil)), login)
	if err != nil {
		t.Fatal(err)
	}
	opened, result := make(chan string, 1), make(chan error, 1)
	c.Started = func(_ *reactor.Reactor, open []endpoint.Listener) { opened <- open[0].Addr().String() }
	go func() { result <- c.Serve(ctx, proxy, "tcp:0:interface=127.0.0.1") }()
	select {
	case addr = <-opened:
	case err := <-result:
		t.Fatal(err)
	}
	return addr, func() {
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
}

// curl gets a page of this machine through the proxy.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip(err)
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	defer web.Close()
	_, port, _ := net.SplitHostPort(web.Listener.Addr().String())
	tries := []struct{ login, option, host, want string }{
		{"", "--socks5-hostname", "localhost", "hello"},
		{"", "--socks5", "127.0.0.1", "hello"},
		{"ann:secret", "--socks5-hostname", "localhost", "hello"},
		{"ann:wrong", "--socks5-hostname", "localhost", ""},
	}
	for _, try := range tries {
		var log strings.Builder
		var login []string
		via := ""
		if try.login != "" {
			login, via = []string{"ann", "secret"}, try.login+"@"
		}
		addr, end := serve(t, &log, login...)
		out, err := exec.Command(curl, "-s", "-m", "30", "--noproxy", "", try.option, via+addr, "http://"+try.host+":"+port+"/").Output()
		end()
		if string(out) != try.want || (err == nil) != (try.want != "") {
			t.Errorf("%v: got %q and %v", try, out, err)
		}
		if !strings.Contains(log.String(), "msg=socks") {
			t.Error(log.String())
		}
	}
}

// A name without a password, or a password of two words, is a mistake, and no proxy that asks for nothing.
func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"ann"}, {"-h"}, {"ann", "two", "words"}} {
		if _, proxy, err := setUp(slog.New(slog.DiscardHandler), args); err == nil || proxy != nil {
			t.Errorf("%q: %v, %v", args, proxy, err)
		}
	}
}

// A tunnel outlasts the end of the proxy, until it ends by itself.
func TestDrain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := l.Addr().(*net.TCPAddr)
	addr, end := serve(t, io.Discard)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(30 * time.Second))
	c.Write([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, byte(to.Port >> 8), byte(to.Port)})
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	io.ReadFull(c, make([]byte, 2+10))
	ended := make(chan bool)
	go func() { end(); close(ended) }()
	for refused := false; !refused; { // it drains when it listens no more
		n, err := net.Dial("tcp", addr)
		if refused = err != nil; !refused {
			n.Close()
		}
	}
	io.WriteString(c, "still here")
	got := make([]byte, 10)
	if _, err := io.ReadFull(b, got); err != nil || string(got) != "still here" {
		t.Errorf("%q and %v", got, err)
	}
	b.Close()
	c.Close()
	<-ended
}
