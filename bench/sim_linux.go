package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// simulate runs a process that simulates. It answers each command that it reads with a
// sample. It ends when in does.
func simulate(name string, in io.Reader, out io.Writer) error {
	say := json.NewEncoder(out)
	var busy *world
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return err
		}
		var s simSample
		var err error
		if name == "simday" {
			s, err = simulateDay()
		} else {
			if busy == nil {
				busy, err = busyWorld()
			}
			if err == nil {
				s, err = busy.measure(func() error { return busy.runFor(c.Measure) })
			}
		}
		if err != nil {
			s.Error = err.Error()
		}
		if err := say.Encode(s); err != nil {
			return err
		}
	}
	return nil
}

func simulateDay() (simSample, error) {
	w, err := quietWorld()
	if err != nil {
		return simSample{}, err
	}
	return w.measure(func() error { return w.net.Run(24 * time.Hour) })
}

// runFor runs the world for d of real time.
func (w *world) runFor(d time.Duration) error {
	for began := time.Now(); time.Since(began) < d; {
		if err := w.net.Run(time.Second); err != nil {
			return err
		}
	}
	return nil
}

// measure calls run, which runs the world, and returns the sample.
func (w *world) measure(run func() error) (s simSample, err error) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	events, virtual, began := w.events(), w.net.Now(), time.Now()
	cpu, err := cpuTime(os.Getpid())
	if err != nil {
		return s, err
	}
	if err := run(); err != nil {
		return s, err
	}
	used, err := cpuTime(os.Getpid())
	if err != nil {
		return s, err
	}
	s.Seconds = time.Since(began).Seconds()
	runtime.ReadMemStats(&after)
	n := float64(w.events() - events)
	if n == 0 {
		return s, fmt.Errorf("nothing happened in %v", w.net.Now()-virtual)
	}
	s.Virtual = (w.net.Now() - virtual).Seconds()
	s.PerSecond, s.PerCPU = n/s.Seconds, n/(used-cpu).Seconds()
	s.Allocs = float64(after.Mallocs-before.Mallocs) / n
	return s, nil
}

// sim measures a simulated world, in a process of its own on one CPU.
func (r *runner) sim(ctx context.Context, w *workload, res *result) error {
	c, err := startChild(r.exe, r.serverCPUs[:min(1, len(r.serverCPUs))], "sim", w.name)
	if err != nil {
		return err
	}
	defer c.stop()
	rounds := r.sets
	if w.name == "simday" { // takes long
		rounds = r.idleRounds
	}
	for range rounds {
		var s simSample
		err := c.ask(ctx, say(command{Measure: r.measure}), 5*time.Minute, &s)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && s.Error != "":
			err = errors.New(s.Error)
		}
		if err != nil {
			res.leaveOut("sim", err)
			return nil
		}
		res.Sim = append(res.Sim, s)
	}
	return nil
}
