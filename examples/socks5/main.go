// Socks5 is a SOCKS5 proxy for this machine. Try it with
// `curl --socks5-hostname localhost:1080 URL`. With two arguments, a name and a password, it
// asks for these; any other number of arguments is a mistake.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/examples/socks5/socks"
	"github.com/whorl-go/whorl/logqueue"
	"github.com/whorl-go/whorl/reactor"
)

func main() {
	q := logqueue.New(0) // the loop does not wait for the terminal
	logger := slog.New(q.Handler(slog.NewTextHandler(os.Stderr, nil)))
	c, proxy, err := setUp(logger, os.Args[1:])
	if err == nil {
		err = c.Serve(context.Background(), proxy, "tcp:1080:interface=127.0.0.1")
	}
	if err != nil {
		logger.Error(err.Error())
	}
	q.Flush(context.Background())
	if err != nil {
		os.Exit(1)
	}
}

// setUp returns how the proxy is served, and the proxy. login is nothing, or a name and a
// password. Anything else is an error, because a proxy without a login would serve a user who believes that there is one.
func setUp(logger *slog.Logger, login []string) (whorl.Config, *socks.Proxy, error) {
	if len(login) != 0 && len(login) != 2 {
		return whorl.Config{}, nil, errors.New("usage: socks5 [NAME PASSWORD]")
	}
	proxy := &socks.Proxy{
		Logger: logger,
		Idle:   10 * time.Minute,
		Dial:   reactor.DialConfig{Timeout: 15 * time.Second},
	}
	if len(login) == 2 {
		proxy.Check = func(user, password string) bool { return user == login[0] && password == login[1] }
	}
	return whorl.Config{
		Logger: logger,
		Grace:  30 * time.Second,
		Limits: reactor.PortLimits{MaxConnections: 10_000, MaxPerPeer: 1000},
	}, proxy, nil
}
