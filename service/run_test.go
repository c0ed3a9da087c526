package service_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
	"github.com/whorl-go/whorl/sim"
)

// CLK-7: a program can be run for one result. The exit code is 0, or 1 with the error logged, or the one that was asked for. A result that is there already works. If the
// reactor was stopped before, that is no error.
func TestRun(t *testing.T) {
	type result = *deferred.Deferred[service.None]
	for name, c := range map[string]struct {
		main   func(r *reactor.Reactor) result
		code   int
		logged string
	}{
		"success": {func(r *reactor.Reactor) result { return deferred.Sleep(r, time.Hour) }, 0, ""},
		"there":   {func(r *reactor.Reactor) result { return deferred.Of(r, service.None{}) }, 0, ""},
		"nil":     {func(r *reactor.Reactor) result { return nil }, 0, ""},
		"failure": {func(r *reactor.Reactor) result {
			return deferred.Later(r, time.Hour, func() (service.None, error) { return service.None{}, errTest })
		}, 1, "the program has failed err=test"},
		"failed": {func(r *reactor.Reactor) result { return deferred.Failed[service.None](r, errTest) }, 1, "the program has failed err=test"},
		"exit": {func(r *reactor.Reactor) result {
			return deferred.Failed[service.None](r, &service.ExitError{Code: 3})
		}, 3, ""},
		"panic": {func(r *reactor.Reactor) result { panic("no") }, 1, "the program has failed"},
		"stopped": {func(r *reactor.Reactor) result {
			r.CallLater(time.Second, func() { r.Stop() })
			return deferred.New[service.None](r, nil)
		}, 0, ""},
		"stopped inside": {func(r *reactor.Reactor) result { r.Stop(); return deferred.Sleep(r, time.Second) }, 0, ""},
		"stopped, and failed": {func(r *reactor.Reactor) result {
			r.CallLater(time.Second, func() { r.Stop() })
			return deferred.New(r, func(d result) { d.Fail(errTest) })
		}, 1, "the program has failed err=test"},
	} {
		log := new(records)
		r := reactor.New(sim.New(1).Kernel(), reactor.Config{Logger: log.logger()})
		code := service.Run(context.Background(), r, func() result { return c.main(r) })
		text := strings.Join(log.all, "\n")
		if code != c.code || !strings.Contains(text, c.logged) || (c.logged == "") != (text == "") {
			t.Errorf("CLK-7: %s: code %d, want %d; log %q", name, code, c.code, log.all)
		}
	}
	// A reactor that cannot run.
	log := new(records)
	r := reactor.New(sim.New(1).Kernel(), reactor.Config{Logger: log.logger()})
	r.Close()
	if code := service.Run(context.Background(), r, func() result { t.Error("called"); return nil }); code != 1 || len(log.all) != 1 {
		t.Errorf("a reactor that has stopped: %d, %q", code, log.all)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r = reactor.New(sim.New(1).Kernel(), reactor.Config{})
	if code := service.Run(ctx, r, func() result { cancel(); return deferred.New[service.None](r, nil) }); code != 0 {
		t.Errorf("CLK-7: a context that has ended: %d", code)
	}
}
