package program

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/whorl-go/whorl/activation"
	"github.com/whorl-go/whorl/reactor"
)

// Manager is a service manager: an [activation.Notifier], or that of a test.
type Manager interface {
	// Active tells whether anybody hears.
	Active() bool
	// Send sends a message. It never waits.
	Send(state string) error
	// Watchdog is the time within which the manager must hear from the program; zero: it need not.
	Watchdog() time.Duration
	// Now is the time on the manager's clock.
	Now() time.Duration
}

// Notify tells a service manager what becomes of a program (SVC-30 to SVC-33). A message that cannot be sent waits here, and the program goes on without it. Notify is for the goroutine of
// the loop; a nil one does nothing.
type Notify struct {
	r     *reactor.Reactor
	m     Manager
	log   *slog.Logger
	phase phase

	unsent  []string // messages of state, the oldest first
	status  string   // a line that is sent behind them; "": none
	failing bool     // the last message was not sent
	asking  bool     // the loops are asked whether they live
	retry   reactor.DelayedCall
	alive   reactor.DelayedCall
	extend  reactor.DelayedCall
	// progress is what there is left to do of a stop, for the status.
	progress func() string
}

// phase is what the manager has been told.
type phase uint8

const (
	phaseNone phase = iota
	phaseStarting
	phaseReady
	phaseReloading
	phaseStopping
	phaseOver // somebody else is the service now
)

const (
	// retryEvery is how often a message is sent again that the manager did not take.
	retryEvery = 100 * time.Millisecond
	// mostUnsent is how many messages wait for the manager.
	mostUnsent = 16
	// longestValue is how many characters of a status are told, of four bytes each at most.
	longestValue = 800
	// extendEvery is how often the manager hears that a start or a stop takes more time, and extendBy for how long this holds.
	extendEvery = 5 * time.Second
	extendBy    = 3 * extendEvery
	// firstExtension is when a start begins to count as a long one.
	firstExtension = time.Second
)

// NewNotify makes a Notify for the program whose signals and state belong to r, or to the group that r leads. It is nil if there is no manager.
func NewNotify(r *reactor.Reactor, m Manager, log *slog.Logger) *Notify {
	if m == nil || !m.Active() {
		return nil
	}
	return (&Notify{r: r, m: m, log: log}).init()
}

func (n *Notify) init() *Notify {
	n.retry.Init(n.r, n.flush)
	n.alive.Init(n.r, n.keepAlive)
	n.extend.Init(n.r, n.extendMore)
	return n
}

// On is n with r in place of its loop, which is lost: the manager goes on to hear of the program. n is not used any more, unless r is its loop. On is called on the
// goroutine of r.
func (n *Notify) On(r *reactor.Reactor) *Notify {
	if n == nil || n.r == r {
		return n
	}
	x := (&Notify{r: r, m: n.m, log: n.log, phase: n.phase, unsent: n.unsent, status: n.status, failing: n.failing, progress: n.progress}).init()
	if !x.is(phaseNone, phaseOver) && x.m.Watchdog() > 0 {
		x.keepAlive()
	}
	if x.is(phaseStarting, phaseStopping) {
		x.extend.Reset(extendEvery)
	}
	x.flush()
	return x
}

// Begin is called when the loop runs. From now on the manager hears that it does, if it has a watchdog.
func (n *Notify) Begin() {
	if n == nil || n.phase != phaseNone {
		return
	}
	n.phase = phaseStarting
	n.extend.Reset(firstExtension)
	if n.m.Watchdog() > 0 {
		n.keepAlive()
	}
}

// Ready says that the program has started.
func (n *Notify) Ready(status string) {
	if n.is(phaseStarting) {
		n.phase = phaseReady
		n.extend.Cancel()
		n.send("READY=1", line("STATUS", status))
	}
}

// Reloaded says that a reload is over. Without one it says nothing.
func (n *Notify) Reloaded(status string) {
	if n.is(phaseReloading) {
		n.phase = phaseReady
		n.send("READY=1", line("STATUS", status))
	}
}

// Reloading says that the program reads its configuration again. Reloaded ends it.
func (n *Notify) Reloading(status string) {
	if n.is(phaseReady) {
		n.phase = phaseReloading
		n.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", n.m.Now().Microseconds()), line("STATUS", status))
	}
}

// Stopping says that the program ends. From now on the manager hears now and then that it needs more time, and what is left to do, which progress returns;
// nil: nothing is said of that.
func (n *Notify) Stopping(status string, progress func() string) {
	if n.is(phaseStarting, phaseReady, phaseReloading) {
		n.phase, n.progress = phaseStopping, progress
		n.extend.Reset(extendEvery)
		n.send("STOPPING=1", extension(), line("STATUS", status))
	}
}

// Status says in a line what the program does, or why it has failed.
func (n *Notify) Status(text string) {
	if n == nil || n.phase == phaseOver {
		return
	}
	n.status = line("STATUS", text)
	n.flush()
}

// Succeed says that the process pid is the service from now on, and is ready. Nothing is said after that (SVC-34). If pid is 0, nobody knows the number, and nothing is said of it.
func (n *Notify) Succeed(pid int) {
	if !n.is(phaseStarting, phaseReady, phaseReloading) {
		return
	}
	if pid != 0 {
		n.send(fmt.Sprintf("MAINPID=%d", pid), "READY=1")
	}
	n.phase = phaseOver
	n.extend.Cancel()
	n.alive.Cancel()
}

func (n *Notify) is(those ...phase) bool {
	return n != nil && slices.Contains(those, n.phase)
}

// line makes a line of a message, without its end. In value, characters that would end the line become blanks. A long value is cut, because systemd ignores all of a
// message of more than 4096 bytes: a failure with much to say would otherwise take READY=1 or EXTEND_TIMEOUT_USEC with it.
func line(name, value string) string {
	var text strings.Builder
	n := 0
	for _, r := range value {
		if n++; n > longestValue {
			text.WriteString("...")
			break
		}
		if r < ' ' || r == 0x7f {
			r = ' '
		}
		text.WriteRune(r)
	}
	return name + "=" + text.String()
}

func extension() string { return fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", extendBy.Microseconds()) }

// send sends a message of those lines, behind those that wait. Its status takes the place of one that waits.
func (n *Notify) send(lines ...string) {
	if len(n.unsent) == mostUnsent {
		n.unsent = append(n.unsent[:0], n.unsent[1:]...) // the newest say how things are
	}
	n.unsent, n.status = append(n.unsent, strings.Join(lines, "\n")), ""
	n.flush()
}

// try sends a message, and tells whether there is nothing more to do about it. The first of several failures is logged.
func (n *Notify) try(message string) bool {
	err := n.m.Send(message)
	if err != nil && !n.failing {
		n.log.Warn("the service manager was not told", slog.Any("err", err))
	}
	n.failing = err != nil
	return err == nil || errors.Is(err, activation.ErrNotify) || errors.Is(err, errors.ErrUnsupported)
}

// flush sends what waits, as far as the manager takes it.
func (n *Notify) flush() {
	for len(n.unsent) > 0 {
		if !n.try(n.unsent[0]) {
			n.retry.Reset(retryEvery)
			return
		}
		n.unsent = n.unsent[1:]
	}
	if n.status == "" || n.try(n.status) {
		n.status = ""
	} else {
		n.retry.Reset(retryEvery)
	}
}

// keepAlive says that the loop lives, by being called; of several loops, if all are.
func (n *Notify) keepAlive() {
	n.alive.Reset(n.m.Watchdog() / 2)
	g := n.r.Group()
	if g == nil {
		n.lives()
		return
	}
	if n.asking { // a loop has not answered, and is stuck
		return
	}
	n.asking = true
	g.EachLater(func(*reactor.Reactor) error { return nil }, func(error) { // an error is a loop that was lost, as the log says
		n.r.Post(func() {
			n.asking = false
			n.lives()
		})
	})
}

func (n *Notify) lives() {
	if n.phase != phaseOver && !n.try("WATCHDOG=1") {
		n.alive.Reset(min(retryEvery, n.m.Watchdog()/2))
	}
}

// extendMore says that a start or a stop takes more time.
func (n *Notify) extendMore() {
	n.extend.Reset(extendEvery)
	lines := []string{extension()}
	if n.progress != nil {
		lines = append(lines, line("STATUS", n.progress()))
	}
	if len(n.unsent) == 0 { // the next makes it good if it is lost
		n.try(strings.Join(lines, "\n"))
	}
}
