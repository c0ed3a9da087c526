package whorl

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/logqueue"
	"github.com/whorl-go/whorl/reactor"
)

// picky is a factory that panics at each connection until it has panicked so many times. The
// others are an echo's.
type picky struct{ left int }

func (f *picky) BuildProtocol(kernel.Addr) reactor.Protocol {
	if f.left > 0 {
		f.left--
		panic("I do not like it")
	}
	return new(echo)
}

// A log that nobody reads does not stop the loop: 2,000 refusals later the server serves, and
// ends when it is told to.
func TestServeWithALogThatNobodyReads(t *testing.T) {
	const refusals = 2000
	kernels(t, func(t *testing.T, name string) {
		t.Parallel() // each waits a second for its log, in vain
		read, write := io.Pipe()
		defer read.Close() // lets the goroutine of the queue go
		c := Config{Kernel: name, Logger: slog.New(slog.NewTextHandler(write, nil))}
		c.Reactor.Logger = slog.New(slog.NewJSONHandler(write, nil))
		v := start(t, c, &picky{left: refusals}, anywhere)
		for range refusals {
			c, err := net.Dial("tcp", v.open[0].Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, c)
			c.Close()
		}
		good := v.dial(0)
		echoed(t, good)
		good.Close()
		v.cancel()
		began := time.Now()
		if err := <-v.result; err != nil {
			t.Errorf("the result is %v", err)
		}
		if took := time.Since(began); took > program.LastWords+5*time.Second {
			t.Errorf("the end took %v", took)
		}
	})
}

// slowLog is a Writer that takes its time.
type slowLog struct{ record }

func (s *slowLog) Write(p []byte) (int, error) {
	time.Sleep(time.Millisecond) // its slowness is the test; nobody waits for it but Serve
	return s.record.Write(p)
}

// What was logged is written when Serve and Connect return, and both loggers keep the order.
func TestServeWritesItsLastWords(t *testing.T) {
	log := new(slowLog)
	h := func(name string) *slog.Logger { return slog.New(slog.NewTextHandler(log, nil)).With("log", name) }
	c := Config{Logger: h("program"), Reactor: reactor.Config{Logger: h("engine")}}
	v := start(t, c, reactor.Each[echo](), anywhere)
	v.cancel()
	if err := <-v.result; err != nil {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	at := func(texts ...string) int {
		return slices.IndexFunc(lines, func(l string) bool {
			return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(l, text) })
		})
	}
	starting, listening, closing := at("msg=starting", "log=engine"), at("listening on", "log=program"), at("Closed)", "log=engine")
	if starting != 0 || listening <= starting || closing <= listening || at("msg=stopped", "log=program") != len(lines)-1 {
		t.Errorf("log:\n%s", log.String())
	}
	// Connect too, although nobody is there.
	log = new(slowLog)
	err := Config{Reactor: reactor.Config{Logger: h("engine")}}.Connect(context.Background(), reactor.Each[echo](), closed(t))
	if err == nil || !strings.Contains(log.String(), "stopping factory") {
		t.Errorf("%v, log:\n%s", err, log.String())
	}
}

// closed is a place where nobody listens.
func closed(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	return fmt.Sprintf("tcp:127.0.0.1:%d", l.Addr().(*net.TCPAddr).Port)
}

// A log that has a queue already gets no other, and is not waited for: its owner does that.
func TestQueueIsTheOwners(t *testing.T) {
	q := logqueue.New(0)
	c := Config{Logger: slog.New(q.Handler(slog.DiscardHandler))}
	h := c.Logger.Handler()
	program.QueueLogs(&c.Logger, &c.Reactor.Logger)()
	if c.Logger.Handler() != h || c.Reactor.Logger != nil {
		t.Error("a queue behind a queue, or a log that nobody asked for")
	}
}
