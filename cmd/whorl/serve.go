package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// server is a reactor, the ports it serves, and how it comes to its end.
type server struct {
	r     *reactor.Reactor
	log   *slog.Logger
	ports []endpoint.Listener
	end   drain
}

// open makes the reactor that the flags ask for, and the log.
func (g *globals) open(t terminal) (*reactor.Reactor, *slog.Logger, error) {
	log, engine := g.logger(t.err)
	k, err := native.Open(g.Kernel)
	if err != nil {
		return nil, nil, err
	}
	return reactor.New(k, reactor.Config{Logger: engine}), log, nil
}

// serve runs a server at the places texts name until a signal ends it. build is
// called when there is a reactor for the factory.
func (g *globals) serve(t terminal, known *endpoint.Schemes, texts []string, build func(*server) reactor.Factory) error {
	at, err := places(known, texts...)
	if err != nil {
		return err
	}
	r, log, err := g.open(t)
	if err != nil {
		return err
	}
	s := &server{r: r, log: log}
	s.end.init(s, g.Grace)
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(sigs)
	if err := s.listen(at, build(s)); err != nil {
		r.Close()
		return err
	}
	go func() {
		for sig := range sigs {
			r.Post(func() { s.signalled(sig) })
		}
	}()
	return s.run()
}

// listen opens every place, or says which could not be.
func (s *server) listen(at []place, f reactor.Factory) error {
	for _, p := range at {
		port, err := p.at.Listen(s.r, f)
		if err != nil {
			return fmt.Errorf("%s: %w", p.text, err)
		}
		s.ports = append(s.ports, port)
	}
	for i, port := range s.ports {
		a := port.Addr()
		s.log.Info(fmt.Sprintf("listening on %s %s", a.Network(), a),
			slog.String("net", a.Network()), slog.String("addr", a.String()), slog.String("endpoint", at[i].text))
	}
	return nil
}

// run serves until the reactor was stopped and the connections have ended.
func (s *server) run() error {
	s.r.AddWaitTrigger(reactor.Shutdown, s.end.begin)
	err := s.r.Run(context.Background())
	if err == nil {
		s.log.Info("stopped")
	}
	return err
}

// signalled stops the server the first time; the second time patience ends.
func (s *server) signalled(sig os.Signal) {
	s.log.Info("caught a signal", slog.String("signal", sig.String()))
	if s.r.Stop() != nil {
		s.end.hurry()
	}
}
