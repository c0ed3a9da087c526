package deferred_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// THR-32, DEF-14: what is started after the reactor has stopped has failed when the function returns.
func TestStartedAfterEnd(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			nobody := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return nil })
			port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), nobody, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			if o, ok := deferred.StopListening(r, port).Outcome(); !ok || o.Err != nil {
				t.Errorf("THR-32: StopListening: %v, %v", o.Err, ok)
			}
			if err := failure(deferred.Dial(r, kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 1), nobody, nil)); !errors.Is(err, reactor.ErrStopped) {
				t.Error("THR-32: Dial:", err)
			}
			if err := failure(deferred.Resolve(r, "localhost")); !errors.Is(err, reactor.ErrStopped) {
				t.Error("THR-32: Resolve:", err)
			}
			if err := failure(deferred.Go(context.Background(), r, func(context.Context) (int, error) { return 0, nil })); !errors.Is(err, pool.ErrStopped) {
				t.Error("THR-32: Go:", err)
			}
			if _, err := deferred.New[int](r, nil).Wait(context.Background()); err != reactor.ErrStopped {
				t.Error("DEF-14: Wait:", err)
			}
		})
	}
}

// From gives what done gets, at once or later. Giving up the result ends the work, and drops what comes afterwards.
func TestFrom(t *testing.T) {
	r := simulated(t, reactor.Config{})
	if o, ok := deferred.From(r, func(done func(int, error)) func() { done(4, nil); return nil }).Outcome(); !ok || o.Value != 4 {
		t.Errorf("at once: %v", o)
	}
	var done func(int, error)
	ended := 0
	start := func(d func(int, error)) func() { done = d; return func() { ended++ } }
	d := deferred.From(r, start)
	done(0, errTest)
	if failure(d) != errTest {
		t.Error("later:", failure(d))
	}
	panics(t, func() { done(1, nil) })
	for range 2 { // with something that ends the work, and without
		d = deferred.From(r, start)
		d.Cancel()
		if failure(d) != reactor.ErrCancelled {
			t.Error("given up:", failure(d))
		}
		done(1, nil)
		panics(t, func() { done(1, nil) })
		start = func(d func(int, error)) func() { done = d; return nil }
	}
	if ended != 1 {
		t.Errorf("ended %d times", ended)
	}
	// The work may say itself what became of it.
	d = deferred.From(r, func(done func(int, error)) func() { return func() { done(6, nil) } })
	if d.Cancel(); failure(d) != nil {
		t.Error("an outcome while it is given up:", failure(d))
	}
}

// Dialling, looking up and the end of a port have their forms, on every kernel.
func TestForms(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), reactor.Each[silent](), nil)
			if err != nil {
				t.Fatal(err)
			}
			dialled := deferred.Dial(r, port.Addr(), reactor.Each[silent](), nil)
			stopped := deferred.Chain(dialled, func(p reactor.Protocol) *deferred.Deferred[deferred.None] {
				p.(*silent).T.Close()
				return deferred.StopListening(r, port)
			})
			until(t, r, func() bool { _, ok := stopped.Outcome(); return ok && r.Stats().Connections == 0 })
			if failure(stopped) != nil || port.Listening() {
				t.Error(failure(stopped))
			}
			refused := deferred.Dial(r, port.Addr(), reactor.Each[silent](), nil)
			given := deferred.Dial(r, port.Addr(), reactor.Each[silent](), nil)
			given.Cancel()
			name := deferred.Resolve(r, "localhost")
			again := deferred.Completed(r, port.StopListening)
			until(t, r, func() bool {
				return failure(refused) != errPending && failure(name) != errPending && failure(again) != errPending
			})
			if !errors.Is(failure(refused), kernel.ErrRefused) || !errors.Is(failure(given), reactor.ErrCancelled) || failure(again) != nil {
				t.Errorf("%v, %v, %v", failure(refused), failure(given), failure(again))
			}
			if o, _ := name.Outcome(); o.Err != nil || len(o.Value) == 0 || !o.Value[0].IsLoopback() {
				t.Errorf("%v", o)
			}
		})
	}
}

type silent struct{ reactor.Base }

func (*silent) DataReceived([]byte) {}

// Blocking work gives its result, its error, its panic. Giving it up ends its context, and its result is dropped.
func TestGo(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
			ctx := context.Background()
			value := deferred.Go(ctx, r, func(context.Context) (int, error) { return 3, nil })
			failed := deferred.Go(ctx, r, func(context.Context) (int, error) { return 0, errTest })
			panicked := deferred.Go(ctx, r, func(context.Context) (int, error) { panic("x") })
			worked := deferred.Work(r, reactor.NewWorkers(r, 1), func() (int, error) { return 4, nil })
			ended, end := context.WithCancelCause(ctx)
			end(errTest)
			never := deferred.Go(ended, r, func(context.Context) (int, error) { t.Error("called"); return 0, nil })
			if failure(value) != errPending {
				t.Error("the result is there at once")
			}
			all := deferred.All(r, value, failed, panicked, worked, never)
			until(t, r, func() bool { return failure(all) == nil })
			o, _ := all.Outcome()
			if o.Value[0].Value != 3 || o.Value[1].Err != errTest || o.Value[3].Value != 4 || o.Value[4].Err != errTest {
				t.Error(o.Value)
			}
			if _, ok := errors.AsType[*reactor.PanicError](o.Value[2].Err); !ok {
				t.Error(o.Value[2].Err)
			}
			if w.Simulated() {
				return // blocking work there cannot wait to be given up
			}
			began, cause := false, make(chan error)
			given := deferred.Go(ctx, r, func(ctx context.Context) (int, error) {
				r.Post(func() { began = true })
				<-ctx.Done()
				cause <- context.Cause(ctx)
				return 1, nil
			})
			until(t, r, func() bool { return began })
			if given.Cancel(); failure(given) != reactor.ErrCancelled {
				t.Error(failure(given))
			}
			if err := <-cause; err != reactor.ErrCancelled {
				t.Errorf("the cause is %v", err)
			}
			last := deferred.Go(ctx, r, func(context.Context) (int, error) { return 1, nil })
			until(t, r, func() bool { return failure(last) == nil }) // and what the one that was given up has returned was dropped
		})
	}
}

// A goroutine waits for a result; on the loop that panics.
func TestWait(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			d := deferred.New[int](r, nil)
			answers := make(chan string, 5)
			say := func(v int, err error) { answers <- fmt.Sprint(v, " ", err) }
			go func() {
				ctx, end := context.WithCancelCause(context.Background())
				end(errTest)
				say(d.Wait(ctx))
				r.Post(func() { r.CallLater(time.Millisecond, func() { d.Succeed(5) }) })
				say(d.Wait(context.Background()))
				say(deferred.Ask(context.Background(), r, func() *deferred.Deferred[int] { return deferred.Failed[int](r, errTest) }))
				never := deferred.New[int](r, nil)
				r.Post(func() { r.Stop() })
				say(never.Wait(context.Background()))
				say(d.Wait(context.Background()))
			}()
			r.CallWhenRunning(func() {
				if text := fmt.Sprint(panics(t, func() { _, _ = d.Wait(context.Background()) })); !strings.Contains(text, "deferred: Wait where it would wait for itself") || !strings.Contains(text, "use Done, Then or a coroutine") {
					t.Error("on the loop:", text)
				}
			})
			if err := r.Run(context.Background()); err != nil {
				t.Fatal(err)
			}
			for i, want := range []string{"0 test", "5 <nil>", "0 test", "0 reactor stopped", "0 reactor stopped"} {
				if got := <-answers; got != want {
					t.Errorf("answer %d: %q, want %q", i, got, want)
				}
			}
		})
	}
}

// An Ask whose context ends gives up the result.
func TestAskGivenUp(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			ctx, end := context.WithCancelCause(context.Background())
			cancelled := false
			answer := make(chan error, 1)
			go func() {
				_, err := deferred.Ask(ctx, r, func() *deferred.Deferred[netip.Addr] {
					r.Post(func() { end(errTest) })
					return deferred.New(r, func(*deferred.Deferred[netip.Addr]) { cancelled = true })
				})
				answer <- err
			}()
			until(t, r, func() bool { return cancelled })
			if err := <-answer; err != errTest {
				t.Error(err)
			}
			turn(t, r)
		})
	}
}

// The work of a reactor that has stopped is refused.
func TestGoStopped(t *testing.T) {
	r := simulated(t, reactor.Config{})
	var d *deferred.Deferred[int]
	r.AddTrigger(reactor.After, reactor.Shutdown, func() {
		d = deferred.Go(context.Background(), r, func(context.Context) (int, error) { return 1, nil })
		d.Ignore()
	})
	r.CallWhenRunning(func() { r.Stop() })
	if err := r.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := failure(d); err != errPending && !errors.Is(err, pool.ErrStopped) {
		t.Error(err)
	}
}

// CLK-6: a delayed result that is given up inside its own function drops what that returns.
func TestLaterInside(t *testing.T) {
	r := simulated(t, reactor.Config{})
	var d *deferred.Deferred[int]
	called := false
	d = deferred.Later(r, time.Second, func() (int, error) { d.Cancel(); called = true; return 1, errTest })
	until(t, r, func() bool { return called })
	testworld.Turns(t, r, 2)
	if failure(d) != reactor.ErrCancelled {
		t.Error("CLK-6:", failure(d))
	}
}

// An outcome is dropped that comes after From was given up, also if what should end the work has panicked (DEF-9).
func TestFromCancelPanics(t *testing.T) {
	r := simulated(t, reactor.Config{Panicked: func(*reactor.PanicError) {}})
	var give func(int, error)
	d := deferred.From(r, func(done func(int, error)) func() { give = done; return func() { panic("no") } })
	d.Cancel()
	give(1, nil)
	if _, ok := failure(d).(*reactor.PanicError); !ok {
		t.Error("DEF-9:", failure(d))
	}
}

// The context of Go ends when its function has returned, also if the loop ends meanwhile.
func TestGoContextEnds(t *testing.T) {
	r := simulated(t, reactor.Config{})
	var got context.Context
	r.CallWhenRunning(func() {
		deferred.Go(context.Background(), r, func(ctx context.Context) (int, error) { got = ctx; r.Crash(); return 1, nil })
	})
	_ = r.Run(context.Background())
	if got == nil || got.Err() == nil {
		t.Error("it has not ended")
	}
}
