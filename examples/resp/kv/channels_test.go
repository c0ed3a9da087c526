package kv

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// crowd is a server with n clients, all of them on the same channels.
func crowd(n int) (*Server, []*client) {
	s := new(Server)
	var all []*client
	for range n {
		c := &client{server: s}
		all = append(all, c)
		for i := range 32 {
			s.subscribe(c, fmt.Sprint("channel", i))
		}
	}
	return s, all
}

// When many subscribers of the same channels end at once, the time for it grows with their number, and not with its square.
func TestCrowdLeaves(t *testing.T) {
	leaving := func(n int) time.Duration {
		least := time.Hour
		for range 3 {
			s, all := crowd(n)
			at := time.Now()
			for i := range all {
				s.leave(all[n-1-i])
			}
			least = min(least, time.Since(at))
			if len(s.channels) > 0 || slices.ContainsFunc(all, func(c *client) bool { return len(c.channels) > 0 }) {
				t.Fatal("a subscription is left")
			}
		}
		return least
	}
	few, many := leaving(300), leaving(3000)
	t.Log(few, many)
	if many > 40*few {
		t.Errorf("ten times as many take %v instead of %v", many, few)
	}
}

// Whatever is ended, in whatever order, the others stay.
func TestSubscriptionsStay(t *testing.T) {
	s, all := crowd(5)
	s.unsubscribe(all[1], "channel3")
	s.unsubscribe(all[1], "channel3")
	s.unsubscribe(all[1], "none")
	s.leave(all[3])
	s.unsubscribe(all[4], "channel31")
	for i, c := range all {
		for j := range 32 {
			name := fmt.Sprint("channel", j)
			want := i != 3 && !(i == 1 && j == 3) && !(i == 4 && j == 31)
			of := slices.ContainsFunc(s.channels[name], func(x *subscription) bool { return x.c == c })
			if mine := slices.ContainsFunc(c.channels, func(x *subscription) bool { return x.channel == name }); mine != want || of != want {
				t.Errorf("client %d on %s: %v and %v, want %v", i, name, mine, of, want)
			}
		}
	}
	for _, c := range all {
		s.leave(c)
	}
	if len(s.channels) > 0 {
		t.Errorf("%d channels are left", len(s.channels))
	}
}
