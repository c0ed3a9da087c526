package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// Bystanders are echo clients on package net, in a process of their own, so that the work of
// the load's clients does not delay them there. They measure round trips all the time.

const (
	bystanders    = 8
	bystanderRest = 2 * time.Millisecond // between two messages
)

// trips is a summary of round trips.
type trips struct {
	N             int
	P50, P99, Max time.Duration
	Wrong         int // answers that differ from the question
	Broken        int // bystanders whose connection has ended
}

// bystander is one client.
type bystander struct {
	mu     sync.Mutex
	all    []time.Duration
	since  time.Time // when the message was sent that has no answer; or zero
	wrong  int
	broken bool
}

func bystand(text string) error {
	var address string
	if err := json.Unmarshal([]byte(text), &address); err != nil {
		return err
	}
	var all []*bystander
	for i := range bystanders {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		b := new(bystander)
		all = append(all, b)
		go b.run(c, i)
	}
	out := json.NewEncoder(os.Stdout)
	_ = out.Encode(true)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		_ = out.Encode(take(all))
	}
	return nil
}

func (b *bystander) run(c net.Conn, seed int) {
	answer := make([]byte, 64)
	for offset := int64(0); ; offset++ {
		question := piece(seed, offset, len(answer))
		start := time.Now()
		b.asked(start)
		_, err := c.Write(question)
		if err == nil {
			_, err = io.ReadFull(c, answer)
		}
		b.answered(time.Since(start), err, err == nil && !bytes.Equal(answer, question))
		if err != nil {
			return
		}
		time.Sleep(bystanderRest)
	}
}

func (b *bystander) asked(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = now
}

func (b *bystander) answered(took time.Duration, err error, wrong bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = time.Time{}
	b.all = append(b.all, took)
	b.broken = err != nil
	if wrong {
		b.wrong++
	}
}

// take returns the summary since the last one. A message that has no answer yet counts with
// its age.
func take(all []*bystander) (t trips) {
	var trips []time.Duration
	for _, b := range all {
		b.mu.Lock()
		trips = append(trips, b.all...)
		if b.all = b.all[:0]; !b.since.IsZero() {
			trips = append(trips, time.Since(b.since))
		}
		t.Wrong += b.wrong
		if b.broken {
			t.Broken++
		}
		b.mu.Unlock()
	}
	slices.Sort(trips)
	if t.N = len(trips); t.N > 0 {
		t.P50, t.P99, t.Max = trips[t.N/2], trips[t.N*99/100], trips[t.N-1]
	}
	return t
}
