package activation

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Notifier sends a service manager messages about the state of this process, by the protocol of sd_notify: each is a datagram to the UNIX
// socket NOTIFY_SOCKET, whose lines are NAME=VALUE. No call of it waits for the manager. Nil and the zero value send
// nothing. It is for one goroutine at a time.
type Notifier struct {
	path     string
	out      *outlet // nil: there is no socket
	watchdog time.Duration
}

// ErrNotify: NOTIFY_SOCKET is no path of a file and no abstract name, which begins with @. Other kinds are not supported.
var ErrNotify = errors.New("the socket of the service manager is neither a path nor an abstract name")

// TakeNotifier returns a Notifier for the service manager of this process, and takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of its
// environment, so that no child speaks in its name. If there is no NOTIFY_SOCKET, the result sends nothing; nor does that of a second
// call. Call it when the program starts, before it starts a child. The caller closes the result at the end (SYSD-3).
func TakeNotifier() *Notifier { return takeNotifier(process{}) }

func takeNotifier(e environment) *Notifier {
	path, _ := e.LookupEnv("NOTIFY_SOCKET")
	period, _ := e.LookupEnv("WATCHDOG_USEC")
	pid, others := e.LookupEnv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = e.Unsetenv(name) // it cannot fail for such a name
	}
	if others && pid != strconv.Itoa(e.Getpid()) {
		period = ""
	}
	usec, err := strconv.ParseUint(period, 10, 63)
	if err != nil || usec > uint64(maxWatchdog/time.Microsecond) {
		usec = 0
	}
	return NewNotifier(path, time.Duration(usec)*time.Microsecond)
}

// maxWatchdog is more than any manager waits, and half of it still a Duration.
const maxWatchdog = 1 << 61 * time.Nanosecond

// NewNotifier returns a Notifier for the manager at the socket path, an absolute path or, with @ before it, an abstract name. If path is empty it sends nothing.
// watchdog is the time within which the manager expects to hear from the process again and again; zero or negative: it does not.
func NewNotifier(path string, watchdog time.Duration) *Notifier {
	n := &Notifier{path: path}
	if path != "" {
		n.watchdog = max(watchdog, 0)
		n.out = new(outlet)
		_ = n.open() // Send tries again
	}
	return n
}

// open opens the socket that messages leave by. It is kept, because a program that is out of descriptors needs its watchdog most.
func (n *Notifier) open() error {
	if len(n.path) < 2 || n.path[0] != '/' && n.path[0] != '@' {
		return ErrNotify
	}
	return n.out.open()
}

// Active tells whether there is a manager to send to.
func (n *Notifier) Active() bool { return n != nil && n.out != nil }

// Watchdog is the time within which the manager expects "WATCHDOG=1" again and again; zero: it does not. A program sends it twice as often.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Send sends one message, such as "READY=1\nSTATUS=serving". It does not wait: if the manager has no room, the error is that of the system, and the message
// is lost ([Full] tells). Without a manager it does nothing (SYSD-4).
func (n *Notifier) Send(state string) error {
	if !n.Active() {
		return nil
	}
	err := n.open()
	if err == nil {
		err = n.out.send(n.path, state)
	}
	if err != nil {
		return fmt.Errorf("notifying the service manager at %s: %w", n.path, err)
	}
	return nil
}

// Full tells whether err, of Send, says that the manager had no room for a message; a later one may get through.
func Full(err error) bool { return isFull(err) }

// Now is the time on the clock of the manager's MONOTONIC_USEC, that is CLOCK_MONOTONIC; 0 where there is none.
func (n *Notifier) Now() time.Duration { return monotonic() }

// Environ returns the variables by which a process finds the same manager, as os.Environ has them: for the successor of this process, which is to
// speak in the name of the service. Without a manager there are none.
func (n *Notifier) Environ() []string {
	if !n.Active() {
		return nil
	}
	env := []string{"NOTIFY_SOCKET=" + n.path}
	if n.watchdog > 0 {
		env = append(env, "WATCHDOG_USEC="+strconv.FormatInt(n.watchdog.Microseconds(), 10))
	}
	return env
}

// Close closes the socket. Send does nothing afterwards.
func (n *Notifier) Close() {
	if n.Active() {
		n.out.close()
		n.out = nil
	}
}
