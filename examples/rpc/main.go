// Rpc is a server of two functions, and a client of one or more such servers:
//
//	rpc serve tcp:8010:interface=127.0.0.1
//	rpc call localhost:8010,localhost:8011 upper hello
//
// The client calls once a second. End a server and start it again: no call is lost. Whoever can connect can call "file", which
// reads any file that the server may: without an interface= that is the whole network.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/examples/rpc/rpc"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

func main() {
	err := errors.New("usage: rpc serve PLACE..., such as tcp:8010:interface=127.0.0.1, or rpc call SERVER[,SERVER...] METHOD TEXT")
	switch a := os.Args[1:]; {
	case len(a) >= 2 && a[0] == "serve":
		c := whorl.Config{Logger: slog.Default(), Grace: 30 * time.Second}
		err = c.Serve(context.Background(), server(), a[1:]...)
	case len(a) == 4 && a[0] == "call":
		err = call(strings.Split(a[1], ","), a[2], a[3])
	}
	if err != nil {
		log.Fatal(err)
	}
}

// server answers "upper" and "file", which blocks.
func server() *rpc.Server {
	return &rpc.Server{Handlers: map[string]rpc.Handler{
		"upper": func(p json.RawMessage) (any, error) {
			var text string
			err := json.Unmarshal(p, &text)
			return strings.ToUpper(text), err
		},
		"file": func(p json.RawMessage) (any, error) {
			var name string
			if err := json.Unmarshal(p, &name); err != nil {
				return nil, err
			}
			text, err := os.ReadFile(name)
			return string(text), err
		},
	}}
}

// call calls once a second, until a signal comes.
func call(servers []string, method, text string) error {
	k, err := native.Open("")
	if err != nil {
		return err
	}
	r := reactor.New(k, reactor.Config{Signals: reactor.StopSignals()})
	c := &rpc.Client{Reactor: r, Random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	for _, s := range servers {
		addr, err := kernel.ParseAddr(s)
		if err != nil {
			r.Close()
			return err
		}
		c.Servers = append(c.Servers, addr)
	}
	c.Start()
	r.Every(time.Second, func() {
		c.Call(method, text, rpc.Options{Idempotent: true}, func(p json.RawMessage, err error) { fmt.Println(string(p), err) })
	})
	return r.Run(context.Background())
}
