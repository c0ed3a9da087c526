package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// push is the scenario of producers that are not paced.
func push(w *world) error {
	n, size := w.size(100, 40, 1), int64(8<<20)
	if w.short {
		size = 1 << 20
	}
	w.Unit = "bytes"
	w.Did = fmt.Sprintf("%d producers of %d MiB began together, to fast readers", n, size>>20)
	return w.run(serverSpec{}, func(int) error {
		each(n, func(i int) {
			c, err := dial(w.hello.Main, "", fmt.Sprintf("push %d %d\n", i, size))
			if err != nil {
				w.fail("client %d: %v", i, err)
				w.count(size, 0, 0)
				return
			}
			defer c.Close()
			w.transfer(c, &verifier{seed: i}, size)
		})
		return nil
	})
}

// refuse is the scenario of a factory that gives nobody a protocol. A connection is served if
// the client hears of its end.
func refuse(how string) func(*world) error {
	return func(w *world) error {
		n := w.size(2000, 300, 1)
		w.Did = fmt.Sprintf("%d clients were turned away; standard error of the server is a full pipe that nobody reads", n)
		return w.run(serverSpec{Refuse: how}, func(int) error {
			each(n, func(i int) {
				c, err := dial(w.hello.Main, "", "")
				if err == nil {
					_, err = c.Read(make([]byte, 1))
					c.Close()
				}
				if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					err = nil
				} else {
					err = fmt.Errorf("client %d got no end: %v", i, err)
				}
				w.one(err)
			})
			s, err := w.figures("figures")
			w.note("the server counted %d refused and %d panics", s.Reactor.Refused, s.Reactor.Panics)
			return err
		})
	}
}

// The server of the scenarios of descriptors has so many.
const fewFiles = 128

// told is what became of the clients of a server without descriptors.
type told struct {
	served, refused atomic.Int64
	worst           time.Duration // until a client was served or refused
	mu              sync.Mutex
	inside          []net.Conn
}

// crowd connects n clients at once. Each must get an echo, or an end, soon. Those that got an
// echo stay.
func (w *world) crowd(n int, t *told) {
	each(n, func(i int) {
		start := time.Now()
		c, err := dial(w.hello.Main, "", "echo\n")
		if err == nil {
			err = w.echoOnce(c, i)
		}
		took := time.Since(start)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.worst = max(t.worst, took)
		switch {
		case err == nil:
			t.served.Add(1)
			t.inside = append(t.inside, c)
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.one(fmt.Errorf("client %d got neither an answer nor an end", i))
			return
		default:
			t.refused.Add(1)
			if c != nil {
				c.Close()
			}
		}
		w.one(nil)
	})
}

// descriptors is the scenario of more clients than descriptors.
func descriptors(w *world) error { return w.descriptors(1) }

// descriptorsLoops is the same with two loops, of which none may take the descriptor that the other gives up to turn a client away.
func descriptorsLoops(w *world) error { return w.descriptors(2) }

func (w *world) descriptors(loops int) error {
	n := w.size(400, 200, 1)
	w.Did = fmt.Sprintf("%d clients connected at once to a server with %d descriptors; then these left, and 50 others came", n, fewFiles)
	return w.run(serverSpec{Files: fewFiles, Loops: loops}, func(int) error {
		var t told
		w.crowd(n, &t)
		w.note("%d were served, %d were refused, at the latest after %s ms", t.served.Load(), t.refused.Load(), ms(t.worst))
		if t.refused.Load() == 0 {
			w.fail("nobody was refused, so nothing was tested")
		}
		if t.worst > starved {
			w.fail("a client waited for %v until it was served or refused; the limit is %v", t.worst, starved)
		}
		each(len(t.inside), func(i int) {
			w.one(w.echoOnce(t.inside[i], i))
			t.inside[i].Close()
		})
		return w.after(50)
	})
}

// after waits until the server has got rid of all clients, and then expects it to serve n
// others.
func (w *world) after(n int) error {
	if _, err := w.gone(settles); err != nil {
		return err
	}
	each(n, func(i int) {
		c, err := dial(w.hello.Main, "", "echo\n")
		if err == nil {
			err = w.echoOnce(c, i)
			c.Close()
		}
		if err != nil {
			err = fmt.Errorf("after the load, client %d: %w", i, err)
		}
		w.one(err)
	})
	return nil
}

// descriptorsLingering is the scenario of descriptors that closed connections still hold.
func descriptorsLingering(w *world) error {
	const n = fewFiles // more than there is room for
	w.Did = fmt.Sprintf("%d clients got an answer and did not end, so that their connections lingered; 60 others came meanwhile, and 50 when they were gone", n)
	return w.run(serverSpec{Files: fewFiles}, func(int) error {
		var t told
		var stay []net.Conn
		for i := range n {
			start := time.Now()
			c, err := dial(w.hello.Main, "", fmt.Sprintf("get %d 1000\n", i))
			v := verifier{seed: i}
			if err == nil {
				stay = append(stay, c)
				err = v.readPattern(c, 1000)
			}
			t.worst = max(t.worst, time.Since(start))
			if errors.Is(err, os.ErrDeadlineExceeded) {
				w.one(fmt.Errorf("client %d got neither an answer nor an end", i))
				continue
			}
			w.count(1, 1, v.wrong) // answered or, without descriptors, refused
		}
		s, err := w.figures("figures")
		if err != nil {
			return err
		}
		w.crowd(60, &t)
		w.note("%d lingered; then %d were served, %d were refused, at the latest after %s ms", s.Reactor.Lingered, t.served.Load(), t.refused.Load(), ms(t.worst))
		if t.worst > starved {
			w.fail("a client waited for %v until it was served or refused; the limit is %v", t.worst, starved)
		}
		for _, c := range append(stay, t.inside...) {
			c.Close()
		}
		if err := w.sourcesGone(); err != nil {
			return err
		}
		return w.after(50)
	})
}

// sourcesGone waits until nothing lingers.
func (w *world) sourcesGone() error {
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		s, err := w.figures("lingering")
		if err != nil || s.Sources <= w.Before.Sources || time.Since(start) > settles {
			return err
		}
	}
}

// earlyAnswer is the scenario of an upload that is refused before it has ended.
func earlyAnswer(w *world) error {
	// A connection that lingers takes 4 MiB. Beyond that it resets, as docs/loop.md says.
	const upload, answer = 3 << 20, 64 << 10
	n := w.size(100, 10, 1)
	w.Did = fmt.Sprintf("%d clients uploaded 3 MiB, and only then read the answer of 64 KiB that had refused it", n)
	gate := make(chan bool, 4) // uploads at a time
	return w.run(serverSpec{}, func(int) error {
		each(n, func(i int) {
			gate <- true
			defer func() { <-gate }()
			c, err := dial(w.hello.Main, "", fmt.Sprintf("get %d %d\n", i, answer))
			if err != nil {
				w.one(err)
				return
			}
			defer c.Close()
			v := verifier{seed: i}
			err = writePattern(c, i, upload)
			if err != nil {
				err = fmt.Errorf("the upload: %w", err)
			} else if err = v.readPattern(c, answer); err == nil {
				if _, err = c.Read(make([]byte, 1)); err == io.EOF {
					err = nil
				}
			}
			w.count(0, 0, v.wrong)
			w.one(err)
		})
		s, err := w.figures("figures")
		w.note("%d connections lingered", s.Reactor.Lingered)
		return err
	})
}
