package reactor_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// What a program has forgotten to give is named where it is missing, in an error or a panic, and not when a client comes.
func TestMissing(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		g := newGroup(t, w, 2, reactor.GroupConfig{})
		var dialled error
		r.Dial(loopback, nil, nil, func(_ reactor.Protocol, err error) { dialled = err })
		until(t, r, func() bool { return dialled != nil })
		_, listening := r.Listen(loopback, nil, nil)
		_, ofGroup := g.Listen(loopback, nil, nil)
		_, inUse := r.UseFactory(nil)
		_, packets := r.ListenPacket(udp(0), nil, nil)
		_, toPeer := r.DialPacket(udp(7), nil, nil)
		for name, c := range map[string]struct {
			err, kind error
			word      string
		}{
			"Dial":         {dialled, reactor.ErrConnect, "factory"},
			"Listen":       {listening, reactor.ErrListen, "factory"},
			"Group.Listen": {ofGroup, reactor.ErrListen, "factory"},
			"UseFactory":   {inUse, inUse, "factory"},
			"ListenPacket": {packets, reactor.ErrListen, "protocol"},
			"DialPacket":   {toPeer, reactor.ErrConnect, "protocol"},
		} {
			if c.err == nil || !errors.Is(c.err, c.kind) || !strings.Contains(c.err.Error(), "there is no "+c.word) {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		if n := r.Stats().Sources; n != 0 {
			t.Errorf("%d sources are left", n)
		}
		for name, bad := range map[string]func(){
			"New":               func() { reactor.New(nil, reactor.Config{}) },
			"GroupOf":           func() { reactor.GroupOf(reactor.GroupConfig{}) },
			"AddTrigger":        func() { r.AddTrigger(reactor.During, "event", nil) },
			"AddWaitTrigger":    func() { r.AddWaitTrigger("event", nil) },
			"Post":              func() { r.Post(nil) },
			"Tell":              func() { r.Tell(nil) },
			"Resolve":           func() { r.Resolve("localhost", nil) },
			"CallInThread":      func() { _ = r.CallInThread(func() {}, nil) },
			"CallWhenRunning":   func() { r.CallWhenRunning(nil) },
			"Every":             func() { r.Every(time.Second, nil) },
			"PostLead":          func() { r.PostLead(nil) },
			"Group's PostLead":  func() { g.PostLead(nil) },
			"Each":              func() { _ = g.Each(nil) },
			"EachLater":         func() { g.EachLater(nil, nil) },
			"PostAll":           func() { g.PostAll(nil) },
			"PostTo":            func() { g.PostTo(0, nil) },
			"PostLeast":         func() { g.PostLeast(nil) },
			"StatsLater":        func() { g.StatsLater(nil) },
			"AddStopTrigger":    func() { g.AddStopTrigger(nil) },
			"Reset of a Ticker": func() { new(reactor.Ticker).Reset(time.Second) },
		} {
			func() {
				defer func() {
					name = strings.TrimPrefix(name, "Group's ")
					if v := fmt.Sprint(recover()); !strings.Contains(v, name) {
						t.Errorf("%s: it says %v", name, v)
					}
				}()
				bad()
			}()
		}
	})
}
