package main

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/whorl-go/whorl/examples/chat/room"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/websocket"
)

//go:embed page.html
var page []byte

// site is a room with its page.
type site struct {
	g    *reactor.Group
	room *room.Wide
	l    *netconn.IdleListener
	srv  *http.Server
}

// open listens at a.
func open(g *reactor.Group, a kernel.Addr, quiet bool, o *websocket.Options) (*site, error) {
	s := &site{g: g, room: room.NewWide(g)}
	s.room.Quiet = quiet
	l, err := netconn.ListenIdle(g, a, nil)
	if err != nil {
		return nil, err
	}
	s.l = l
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, q *http.Request) { fmt.Fprintln(w, s.stats()) })
	mux.Handle("/chat", websocket.NewServer(s.room, o))
	s.srv = &http.Server{
		Handler: mux,
		// WebSockets have limits of their own: these are taken off.
		ReadTimeout:  10 * time.Second, // also for a body, which nothing here reads
		WriteTimeout: 10 * time.Second,
		IdleTimeout:  time.Minute,
		ConnState:    func(c net.Conn, st http.ConnState) { l.SetIdle(c, st == http.StateIdle) },
	}
	return s, nil
}

// limit is how long users have for their goodbyes.
const limit = 5 * time.Second

// serve serves until ctx ends. Then it stops listening, tells the users that the server goes away, and waits for their answers.
func (s *site) serve(ctx context.Context) error {
	ran := make(chan error, 1)
	go func() { ran <- s.g.Run(context.Background()) }()
	go s.srv.Serve(s.l)
	select {
	case <-ctx.Done():
	case err := <-ran:
		return err
	}
	_ = s.srv.Close() // WebSockets go on
	var drains sync.WaitGroup
	_ = s.g.Each(func(r *reactor.Reactor) error {
		drains.Add(1)
		r.Drain(reactor.DrainConfig{Limit: limit, Done: func(int) { drains.Done() }})
		return nil
	})
	drains.Wait()
	_ = s.g.Stop()
	return <-ran
}
