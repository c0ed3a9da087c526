package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The answer of the scenarios of a stop: so many bytes, after so long.
const (
	answerBytes = 200_000
	answerAfter = 400 // milliseconds
)

// stopping are the clients of a server that is told to end.
type stopping struct {
	*world
	mu       sync.Mutex
	signal   time.Time // when it was sent; or zero
	late     int       // connected after the signal, and got nothing
	answered int
}

// request makes one connection, and expects a whole answer if the connection was made before
// the signal. One that comes later may be refused, or reset before the first byte: it may have
// been too late for the queue. It returns false then.
func (s *stopping) request(i int) bool {
	c, err := dial(s.hello.Main, "", "")
	connected := time.Now()
	v := verifier{seed: i}
	if err == nil {
		defer c.Close()
		if _, err = fmt.Fprintf(c, "slow %d %d %d\n", i, answerBytes, answerAfter); err == nil {
			err = v.readPattern(c, answerBytes)
		}
		if err == nil {
			if _, err = c.Read(make([]byte, 1)); err == io.EOF {
				err = nil
			}
		}
	}
	s.mu.Lock()
	after := !s.signal.IsZero() && connected.After(s.signal)
	if err == nil {
		s.answered++
	} else if after && v.got == 0 {
		s.late++
	}
	s.mu.Unlock()
	s.count(0, 0, v.wrong)
	if err != nil && after && v.got == 0 {
		return false
	}
	if err != nil {
		err = fmt.Errorf("client %d, after %d of %d bytes: %w", i, v.got, answerBytes, err)
	}
	s.one(err)
	return err == nil
}

// stop is the scenario of a server that is told to end under load.
func stop(w *world) error {
	n := w.size(200, 60, 2)
	s := &stopping{world: w}
	defer w.close()
	if err := w.begin(serverSpec{}); err != nil {
		return err
	}
	var all sync.WaitGroup
	all.Go(func() { // these come one after another, until they are refused
		each(n/2, func(i int) {
			for s.request(i) {
			}
		})
	})
	time.Sleep(answerAfter * time.Millisecond * 3 / 2)
	var err error
	if w.Load, err = ask[trips](w.by, "take"); err != nil {
		return err
	}
	// The loop is held up, so that the next clients wait in the queue when the signal comes.
	blocker, err := dial(w.hello.Main, "", "block 300\n")
	if err != nil {
		return err
	}
	defer blocker.Close()
	time.Sleep(50 * time.Millisecond)
	all.Go(func() {
		each(n/2, func(i int) { s.request(n + i) })
	})
	time.Sleep(150 * time.Millisecond)
	s.mu.Lock()
	s.signal = time.Now()
	s.mu.Unlock()
	w.server.signal(syscall.SIGTERM)
	status, ended := w.server.wait(grace + time.Second)
	took := time.Since(s.signal)
	all.Wait()
	w.Did = fmt.Sprintf("%d clients came all the time, %d stood in the queue, then SIGTERM", n/2, n/2)
	w.note("%d whole answers, %d clients came too late, exit status %d after %s ms", s.answered, s.late, status, ms(took))
	if !ended || status != 0 {
		w.fail("exit status %d, ended %v, after %v; it says: %s", status, ended, took, w.server.stderr.String())
	}
	if w.Load.Max > starved {
		w.fail("a bystander waited for %v; the limit is %v", w.Load.Max, starved)
	}
	return nil
}

// stopHanging is the scenario of a server that cannot end.
func stopHanging(w *world) error {
	w.Did = "SIGTERM while a connection is silent and blocking work never ends; then SIGTERM again"
	defer w.close()
	if err := w.begin(serverSpec{}); err != nil {
		return err
	}
	var all []net.Conn
	for _, line := range []string{"hang\n", "half\n"} {
		c, err := dial(w.hello.Main, "", line)
		if err != nil {
			return err
		}
		defer c.Close()
		all = append(all, c)
	}
	if _, err := all[0].Read(make([]byte, 2)); err != nil {
		return err
	}
	w.server.signal(syscall.SIGTERM)
	if status, ended := w.server.wait(600 * time.Millisecond); ended {
		return fmt.Errorf("it ended at the first signal, with status %d; it says: %s", status, w.server.stderr.String())
	}
	second := time.Now()
	w.server.signal(syscall.SIGTERM)
	status, ended := w.server.wait(grace)
	w.note("exit status %d %s ms after the second signal", status, ms(time.Since(second)))
	says := w.server.stderr.String()
	var err error
	if !ended || status != 1 || !strings.Contains(says, "gave up waiting: for ") {
		err = fmt.Errorf("exit status %d, ended %v, after %v; it says: %s", status, ended, time.Since(second), says)
	}
	if _, again := all[1].Read(make([]byte, 1)); again == nil || errors.Is(again, io.EOF) {
		w.fail("the silent connection was aborted, and its client saw %v", again)
	}
	w.one(err)
	return nil
}
