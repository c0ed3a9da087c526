package whorl_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/internal/notifytest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// The code about programs in docs/services.md and docs/serve.md.

// A whole program that is a tree of services. Under systemd it is a unit of Type=notify.
func Example_services() {
	os.Exit(service.Main(context.Background(), service.MainConfig{Name: "app"}, func(p *service.Program) error {
		r := p.Reactor()
		at, err := std.Schemes(nil).Server("tcp:8007")
		if err != nil {
			return &service.ExitError{Code: 2, Err: err}
		}
		p.Add(service.Named(r, "table", &table{r: r, name: "/etc/app/table"}))
		p.Add(service.Named(r, "web", service.NewServer(r, at, reactor.Each[Upper]())))
		return nil
	}))
}

// table is a member that reads a file, at its start and on SIGHUP.
type table struct {
	r    *reactor.Reactor
	name string
	text []byte
}

// Start reads the file: a program without its table does not start.
func (t *table) Start() *deferred.Deferred[service.None] { return t.Reload() }

// Reload reads it again, without holding the loop up. If that fails, the table stays as it was.
func (t *table) Reload() *deferred.Deferred[service.None] {
	file := deferred.Go(context.Background(), t.r, func(context.Context) ([]byte, error) { return os.ReadFile(t.name) })
	return deferred.Then(file, func(text []byte) (service.None, error) {
		t.text = text
		return service.None{}, nil
	})
}

// Stop does nothing.
func (t *table) Stop() *deferred.Deferred[service.None] { return nil }

// A table is read at the start and again by Reload, and stays as it was if that fails (SVC-29).
func TestTable(t *testing.T) {
	r := testworld.New(t, sim.New(1).Kernel(), reactor.Config{})
	x := &table{r: r, name: filepath.Join(t.TempDir(), "table")}
	s := service.New(r, x)
	do := func(d *deferred.Deferred[service.None]) error {
		t.Helper()
		testworld.Until(t, func() bool { _, ok := d.Outcome(); return ok }, r)
		o, _ := d.Outcome()
		return o.Err
	}
	if err := do(s.Start()); !errors.Is(err, os.ErrNotExist) {
		t.Error("it starts without its table:", err)
	}
	for _, text := range []string{"one", "two"} {
		if err := os.WriteFile(x.name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if s.Running() {
			if err := do(s.Reload()); err != nil {
				t.Error("SVC-29:", err)
			}
		} else if err := do(s.Start()); err != nil {
			t.Error(err)
		}
		if string(x.text) != text {
			t.Errorf("SVC-29: the table is %q, not %q", x.text, text)
		}
	}
	os.Remove(x.name)
	if err := do(s.Reload()); err == nil || string(x.text) != "two" || !s.Running() {
		t.Errorf("SVC-29: without the file: %v, %q", err, x.text)
	}
}

// serveNotified tells the service manager of a server.
func serveNotified(ctx context.Context, f reactor.Factory, started func(*reactor.Reactor, []endpoint.Listener)) error {
	c := whorl.Config{Notify: activation.TakeNotifier()}
	defer c.Notify.Close()
	c.Started = started
	return c.Serve(ctx, f, "tcp:0:interface=127.0.0.1")
}

// The manager of the environment hears of the server (SVC-30).
func TestServeNotified(t *testing.T) {
	m := notifytest.New(t)
	t.Setenv("NOTIFY_SOCKET", m.Path)
	ctx, cancel := context.WithCancel(context.Background())
	if err := serveNotified(ctx, reactor.Each[Upper](), func(*reactor.Reactor, []endpoint.Listener) { cancel() }); err != nil {
		t.Error(err)
	}
	m.Until("READY=1 STATUS=serving tcp 127.0.0.1:")
	m.Until("STOPPING=1")
}

// serveWithServices serves, and reports now and then.
func serveWithServices(ctx context.Context, f reactor.Factory, started func(*reactor.Reactor, []endpoint.Listener), report func(int) *deferred.Deferred[service.None]) error {
	c := whorl.Config{Services: func(tree *service.Collection) error {
		r := tree.Reactor()
		tree.Add(service.Named(r, "counts", service.NewPeriodic(r, time.Minute, report)))
		return nil
	}}
	c.Started = started
	return c.Serve(ctx, f, "tcp:0:interface=127.0.0.1")
}

// The service runs before the place is open (SVC-7).
func TestServeWithServices(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	reported := false
	err := serveWithServices(ctx, reactor.Each[Upper](), func(*reactor.Reactor, []endpoint.Listener) {
		if !reported {
			t.Error("SVC-7: the place is open before the service has started")
		}
		cancel()
	}, func(int) *deferred.Deferred[service.None] { reported = true; return nil })
	if err != nil {
		t.Error(err)
	}
}
