package program_test

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/internal/program"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// manager notes what it hears, with the time.
type manager struct {
	r        *reactor.Reactor
	watchdog time.Duration
	fails    error // of Send
	tried    int
	heard    []string
}

func (m *manager) Active() bool            { return true }
func (m *manager) Watchdog() time.Duration { return m.watchdog }
func (m *manager) Now() time.Duration      { return 7*time.Hour + m.r.Now().Round(time.Second) }
func (m *manager) Send(state string) error {
	m.tried++
	if m.fails == nil {
		m.heard = append(m.heard, fmt.Sprint(m.r.Now().Round(100*time.Millisecond), " ", strings.ReplaceAll(state, "\n", " ")))
	}
	return m.fails
}

// wants fails the test unless the manager has heard that, and forgets it.
func (m *manager) wants(t *testing.T, promise string, want ...string) {
	t.Helper()
	if !slices.Equal(m.heard, want) {
		t.Errorf("%s: the manager has heard\n%s\nwant\n%s", promise, strings.Join(m.heard, "\n"), strings.Join(want, "\n"))
	}
	m.heard = nil
}

// notifier is a Notify on a simulated host at the time 0.
func notifier(t *testing.T, watchdog time.Duration) (*program.Notify, *manager, *testworld.Log) {
	log := testworld.NewLog(t)
	r := testworld.New(t, sim.New(1).Kernel(), reactor.Config{})
	m := &manager{r: r, watchdog: watchdog}
	r.Turn(0)
	return program.NewNotify(r, m, log.Logger()), m, log
}

// pass lets time pass.
func (m *manager) pass(t *testing.T, d time.Duration) {
	t.Helper()
	over := false
	m.r.CallLater(d, func() { over = true })
	testworld.Until(t, func() bool { return over }, m.r)
}

// SVC-30: the manager hears that the program is ready, reloads, and stops, once and in order. SVC-32: while a start or a stop takes long, it hears that more time is needed.
func TestNotify(t *testing.T) {
	n, m, _ := notifier(t, 0)
	n.Ready("too early")
	n.Begin()
	n.Begin()
	m.pass(t, 7*time.Second)
	m.wants(t, "SVC-32", "1s EXTEND_TIMEOUT_USEC=15000000", "6s EXTEND_TIMEOUT_USEC=15000000")
	n.Reloading("too early")
	n.Reloaded("too early")
	n.Ready("serving\nat\x7f once, or not")
	n.Ready("twice")
	m.pass(t, 13*time.Second)
	m.wants(t, "SVC-30", "7s READY=1 STATUS=serving at  once, or not")
	n.Status("busy")
	n.Reloading("reading files")
	n.Reloading("twice")
	n.Reloaded("serving again")
	n.Reloaded("twice")
	m.wants(t, "SVC-30", "20s STATUS=busy", "20s RELOADING=1 MONOTONIC_USEC=25220000000 STATUS=reading files", "20s READY=1 STATUS=serving again")
	left := 3
	n.Stopping("draining", func() string { left--; return fmt.Sprint(left, " left") })
	n.Stopping("twice", nil)
	n.Ready("too late")
	m.pass(t, 11*time.Second)
	m.wants(t, "SVC-30, SVC-32", "20s STOPPING=1 EXTEND_TIMEOUT_USEC=15000000 STATUS=draining", "25s EXTEND_TIMEOUT_USEC=15000000 STATUS=2 left", "30s EXTEND_TIMEOUT_USEC=15000000 STATUS=1 left")
	n.Succeed(5)
	m.wants(t, "SVC-34: a program that stops has no successor")
}

// SVC-31: the watchdog hears of the loop twice in its time, from the beginning to the end, from the loop.
func TestNotifyWatchdog(t *testing.T) {
	n, m, _ := notifier(t, 3*time.Second)
	n.Begin()
	m.pass(t, 4*time.Second)
	m.wants(t, "SVC-31", "0s WATCHDOG=1", "1s EXTEND_TIMEOUT_USEC=15000000", "1.5s WATCHDOG=1", "3s WATCHDOG=1")
	n.Ready("")
	n.Stopping("", nil)
	m.heard = nil
	m.pass(t, 2*time.Second)
	m.wants(t, "SVC-31: while stopping", "4.5s WATCHDOG=1", "6s WATCHDOG=1")
	m.fails = syscall.EAGAIN
	m.pass(t, time.Second+450*time.Millisecond)
	m.fails = nil
	m.pass(t, 250*time.Millisecond)
	m.wants(t, "SVC-31, SVC-33: again soon, where there was no room", "7.5s WATCHDOG=1")
}

// SVC-31: of several loops, one that is stuck keeps the watchdog from hearing that the program lives.
func TestNotifyWatchdogOfGroup(t *testing.T) {
	net := sim.New(1)
	defer net.Close()
	hosts := net.Host("srv").Loops(2)
	r, other := hosts[0].Reactor, hosts[1]
	reactor.GroupOf(reactor.GroupConfig{}, r, other.Reactor)
	m := &manager{r: r, watchdog: 2 * time.Second}
	n := program.NewNotify(r, m, slog.New(slog.DiscardHandler))
	phase := func(what string, least, most int) {
		t.Helper()
		m.heard = nil
		_ = net.Run(10 * time.Second)
		count := 0
		for _, h := range m.heard {
			if strings.HasSuffix(h, " WATCHDOG=1") {
				count++
			}
		}
		if count < least || count > most {
			t.Errorf("SVC-31: %s: the watchdog has heard %d times in 10 s, want %d to %d", what, count, least, most)
		}
	}
	net.At(0, func() { n.Begin(); n.Ready("") })
	phase("all turn", 9, 11)
	other.Pause()
	phase("one is stuck", 0, 1)
	other.Resume()
	phase("it turns again", 9, 11)
}

// SVC-33: a message that the manager has no room for, or that finds nobody, waits, and the program does not. Messages keep their order, the latest status is enough, and the log
// tells once.
func TestNotifyFails(t *testing.T) {
	n, m, log := notifier(t, 0)
	n.Begin()
	m.fails = syscall.ENOENT
	n.Ready("serving")
	n.Status("one")
	n.Status("two")
	m.pass(t, time.Second)
	if len(log.Find("the service manager was not told")) != 1 || m.tried < 8 || m.tried > 14 {
		t.Errorf("SVC-33: tried %d times", m.tried)
	}
	m.fails = nil
	m.pass(t, 150*time.Millisecond)
	m.wants(t, "SVC-33", "1.1s READY=1 STATUS=serving", "1.1s STATUS=two")
	m.fails = syscall.EAGAIN
	n.Status("alone")
	m.fails = nil
	m.pass(t, 150*time.Millisecond)
	m.wants(t, "SVC-33: a status alone", "1.3s STATUS=alone")
	// However long it is, and whatever happens meanwhile, little waits.
	m.fails = syscall.EAGAIN
	for range 100 {
		n.Reloading("r")
		n.Reloaded("again")
	}
	n.Status("last")
	m.fails = nil
	m.pass(t, 150*time.Millisecond)
	if k := len(m.heard); k != 17 || !strings.HasSuffix(m.heard[15], "READY=1 STATUS=again") || !strings.HasSuffix(m.heard[16], "STATUS=last") {
		t.Errorf("SVC-33: %d waited: %q", k, m.heard)
	}
	// What can never be sent does not wait.
	m.tried, m.fails = 0, activation.ErrNotify
	n.Status("nobody")
	m.pass(t, time.Second)
	if m.tried != 1 {
		t.Errorf("SVC-33: tried %d times", m.tried)
	}
}

// SVC-31 to SVC-34: a Notify goes on on another loop when its own is lost: with what waits, with the watchdog, and with what it says of a long start or stop. One that
// says nothing more stays silent.
func TestNotifyMoves(t *testing.T) {
	n, m, _ := notifier(t, 4*time.Second)
	n.Begin()
	m.fails = syscall.EAGAIN
	n.Ready("serving")
	if n.On(m.r) != n {
		t.Error("on its own loop it is another one")
	}
	lost := m.r
	m.r = testworld.New(t, sim.New(2).Kernel(), reactor.Config{})
	m.r.Turn(0)
	m.fails, m.heard = nil, nil
	n = n.On(m.r)
	m.wants(t, "SVC-31, SVC-33", "0s WATCHDOG=1", "0s READY=1 STATUS=serving")
	m.pass(t, 3*time.Second)
	m.wants(t, "SVC-31", "2s WATCHDOG=1")
	n.Stopping("stopping", func() string { return "some left" })
	m.heard = nil
	m.r = testworld.New(t, sim.New(3).Kernel(), reactor.Config{})
	m.r.Turn(0)
	n.On(m.r)
	m.pass(t, 5500*time.Millisecond)
	m.wants(t, "SVC-32", "0s WATCHDOG=1", "2s WATCHDOG=1", "4s WATCHDOG=1", "5s EXTEND_TIMEOUT_USEC=15000000 STATUS=some left")

	m.r = lost
	o := program.NewNotify(lost, m, slog.New(slog.DiscardHandler))
	o.Begin()
	o.Succeed(0)
	m.r, m.heard = testworld.New(t, sim.New(4).Kernel(), reactor.Config{}), nil
	m.r.Turn(0)
	o.On(m.r)
	m.pass(t, 20*time.Second)
	m.wants(t, "SVC-34")
	if (*program.Notify)(nil).On(m.r) != nil {
		t.Error("nobody has become somebody")
	}
}

// SVC-33: a status that has much to say is cut between two characters, because the manager ignores messages of more than 4096 bytes, with all that is in them.
func TestNotifyLong(t *testing.T) {
	n, m, _ := notifier(t, 0)
	n.Begin()
	long := strings.Repeat("\U0001f600", 3000) + "\xff"
	n.Ready(long)
	n.Stopping("failed: "+long, func() string { return long })
	m.pass(t, 6*time.Second)
	if len(m.heard) != 3 {
		t.Fatalf("SVC-33: %d messages", len(m.heard))
	}
	for i, has := range []string{"READY=1", "STOPPING=1", "EXTEND_TIMEOUT_USEC=15000000"} {
		if h := m.heard[i]; len(h) > 4096 || !strings.Contains(h, has) || !utf8.ValidString(h) || !strings.HasSuffix(h, "\U0001f600...") {
			t.Errorf("SVC-33: a message of %d bytes: %.40q", len(h), h)
		}
	}
	n.Status(strings.Repeat("x", 800) + "\n")
	n.Status(strings.Repeat("x", 800))
	if a, b := m.heard[3], m.heard[4]; !strings.HasSuffix(a, "xx...") || strings.HasSuffix(b, ".") {
		t.Errorf("SVC-33: cut to %q and %q", a, b)
	}
}

// SVC-34: a program whose successor serves names it, says that it is ready, and is silent from then on.
func TestNotifySucceed(t *testing.T) {
	for pid, want := range map[int][]string{0: nil, 77: {"0s MAINPID=77 READY=1"}} {
		n, m, _ := notifier(t, time.Second)
		n.Begin()
		n.Ready("")
		n.Reloading("")
		m.heard = nil
		n.Succeed(pid)
		n.Stopping("", nil)
		n.Status("draining")
		m.pass(t, 20*time.Second)
		m.wants(t, "SVC-34", want...)
	}
}

// A program without a manager says nothing to anybody.
func TestNoManager(t *testing.T) {
	r := testworld.New(t, sim.New(1).Kernel(), reactor.Config{})
	for _, m := range []program.Manager{nil, (*activation.Notifier)(nil), activation.NewNotifier("", time.Second)} {
		n := program.NewNotify(r, m, nil)
		if n != nil {
			t.Error("there is nobody to hear")
		}
		n.Begin()
		n.Ready("")
		n.Reloading("")
		n.Reloaded("")
		n.Status("")
		n.Stopping("", nil)
		n.Succeed(1)
	}
	if k := r.Stats().Pending; k != 0 {
		t.Errorf("%d timers are left", k)
	}
}
