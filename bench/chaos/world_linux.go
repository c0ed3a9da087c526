package main

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The limits that every scenario is held to. README.md gives the reasons.
const (
	grace     = 5 * time.Second // of a server that is told to end
	starved   = time.Second     // the worst round trip of a bystander
	stalled   = time.Second     // the longest stall of a loop
	settles   = 5 * time.Second // until everything has been given back
	heapMore  = 4 << 20         // bytes that the heap may have grown by
	clientMay = 20 * time.Second
	// failuresShown is how many failures of one scenario are told.
	failuresShown = 5
)

// world is a server with its bystanders, under the load of one scenario.
type world struct {
	*options
	*row
	server, by *child
	hello      serverHello
	mu         sync.Mutex // for the row, whose counters many clients change
	unsaid     int        // failures that were not told
}

// fail notes a failure.
func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.Failures) == failuresShown {
		w.unsaid++
		return
	}
	w.Failures = append(w.Failures, fmt.Sprintf(format, args...))
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Notes = append(w.Notes, fmt.Sprintf(format, args...))
}

// count adds units that were due, and those of them that were served. The rest is lost.
func (w *world) count(due, served, wrong int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Due += due
	w.Served += served
	w.Wrong += wrong
	w.Lost = w.Due - w.Served
}

// one counts a connection, which was served unless err is set.
func (w *world) one(err error) {
	served := int64(1)
	if err != nil {
		served = 0
		w.fail("%v", err)
	}
	w.count(1, served, 0)
}

// begin starts the server and the bystanders, and measures both without load. The caller ends
// both by close.
func (w *world) begin(spec serverSpec) error {
	spec.Kernel = w.kernel
	var err error
	if w.server, err = startChild("serve", spec, spec.Refuse != "", 0); err != nil {
		return err
	}
	if w.hello, err = ask[serverHello](w.server, ""); err != nil {
		return err
	}
	if w.by, err = startChild("bystand", w.hello.Echo, false, 0); err != nil {
		return err
	}
	if _, err = ask[bool](w.by, ""); err != nil {
		return err
	}
	time.Sleep(w.quiet / 4) // what starts is not measured
	if _, err = ask[trips](w.by, "take"); err != nil {
		return err
	}
	time.Sleep(w.quiet)
	if w.Quiet, err = ask[trips](w.by, "take"); err != nil {
		return err
	}
	if w.Before, err = ask[serverStats](w.server, "memory"); err != nil {
		return err
	}
	_, err = ask[trips](w.by, "take") // without what the collection took
	return err
}

// figures asks the server, and notes its longest stall.
func (w *world) figures(line string) (serverStats, error) {
	s, err := ask[serverStats](w.server, line)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Late = max(w.Late, s.Late)
	return s, err
}

// end measures what the load has done, and waits until everything that belongs to it was given
// back.
func (w *world) end() error {
	var err error
	if w.Load, err = ask[trips](w.by, "take"); err != nil {
		return err
	}
	s, err := w.figures("figures")
	if err != nil {
		return err
	}
	start := time.Now()
	for w.left(&s) && time.Since(start) < settles {
		time.Sleep(20 * time.Millisecond)
		if s, err = w.figures("figures"); err != nil {
			return err
		}
	}
	if w.After, err = w.figures("memory"); err != nil {
		return err
	}
	w.judge()
	return nil
}

// left tells whether something of the load is left in the server.
func (w *world) left(s *serverStats) bool {
	return s.Streams > w.Before.Streams || s.Sources > w.Before.Sources || s.Files > w.Before.Files || s.TLS.Pending > 0
}

// judge compares the row with the limits.
func (w *world) judge() {
	if w.Load.Wrong > 0 || w.Load.Broken > 0 {
		w.fail("bystanders: %d answers were wrong, %d connections have ended", w.Load.Wrong, w.Load.Broken)
	}
	if w.Load.Max > starved {
		w.fail("a bystander waited for %v; the limit is %v", w.Load.Max, starved)
	}
	if w.Late > stalled {
		w.fail("the loop stalled for %v; the limit is %v", w.Late, stalled)
	}
	if a := &w.After; w.left(a) {
		w.fail("left after %v: %d connections, %d sources, %d descriptors, %d handshakes, %s", settles,
			a.Streams-w.Before.Streams, a.Sources-w.Before.Sources, a.Files-w.Before.Files, a.TLS.Pending, a.Verbs)
	}
	if w.After.Heap > w.Before.Heap+heapMore {
		w.fail("the heap has grown from %d to %d KiB; the limit is %d KiB more", w.Before.Heap>>10, w.After.Heap>>10, heapMore>>10)
	}
}

// finish judges what was counted.
func (w *world) finish() {
	if w.Lost > 0 {
		w.fail("%s %s were lost", count(w.Lost, w.Unit), w.Unit)
	}
	if w.Wrong > 0 {
		w.fail("%d bytes were wrong", w.Wrong)
	}
	if w.unsaid > 0 {
		w.Failures = append(w.Failures, fmt.Sprintf("and %d more", w.unsaid))
	}
}

func (w *world) close() {
	w.by.stop()
	w.server.stop()
}

// run is the load of a scenario between begin and end. It is repeated until the time for it is
// over.
func (w *world) run(spec serverSpec, load func(round int) error) error {
	defer w.close()
	if err := w.begin(spec); err != nil {
		return err
	}
	start := time.Now()
	for round := 0; round == 0 || time.Since(start) < w.during; round++ {
		if err := load(round); err != nil {
			return err
		}
		if len(w.Failures) > 0 {
			break
		}
	}
	return w.end()
}

// each calls fn for 0 to n-1 at once, and waits.
func each(n int, fn func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { fn(i) })
	}
	all.Wait()
}

// dial connects a client to address, from a loopback address if one is given, and sends
// first.
func dial(address, from, first string) (*net.TCPConn, error) {
	return dialWith(&net.Dialer{Timeout: clientMay}, address, from, first)
}

// dialSmall is dial with a receive buffer so small that what is not read stays in the server.
func dialSmall(address, first string) (*net.TCPConn, error) {
	var failed error
	d := &net.Dialer{Timeout: clientMay, Control: func(_, _ string, c syscall.RawConn) error {
		return errors.Join(c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10)
		}), failed)
	}}
	return dialWith(d, address, "", first)
}

func dialWith(d *net.Dialer, address, from, first string) (*net.TCPConn, error) {
	if from != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from)}
	}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(clientMay))
	if first != "" {
		if _, err := c.Write([]byte(first)); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c.(*net.TCPConn), nil
}

// reset ends a connection with a reset.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	c.Close()
}

// errWrong: what came is not what was sent.
var errWrong = errors.New("wrong bytes")
