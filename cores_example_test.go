package whorl_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"strings"
	"sync"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// The code of docs/cores.md.

// onAllCores runs a loop for each core until ctx ends. serve opens the ports.
func onAllCores(ctx context.Context, serve func(g *reactor.Group) error) error {
	g, err := reactor.NewGroup(reactor.GroupConfig{
		Kernel:   native.OpenGroup("", native.Options{}),
		Reactor:  reactor.Config{Signals: reactor.StopSignals()},
		Restarts: 3,
	})
	if err != nil {
		return err
	}
	defer g.Close() // if it never ran
	if err := serve(g); err != nil {
		return err
	}
	return g.Run(ctx)
}

// hits counts requests on each loop. Nothing is shared, so nothing is locked.
type hits struct{ n int }

// hitsOf are those of r.
func hitsOf(r *reactor.Reactor) *hits {
	return reactor.Shared(r, func() *hits { return new(hits) })
}

// hitter counts what it gets.
type hitter struct{ reactor.Base }

func (h *hitter) DataReceived([]byte) { hitsOf(h.T.Reactor()).n++ }

// allHits adds them up, loop by loop. It waits, so it is for other goroutines.
func allHits(g *reactor.Group) (total int, err error) {
	var mu sync.Mutex // the loops call the function at the same time
	err = g.Each(func(r *reactor.Reactor) error {
		mu.Lock()
		defer mu.Unlock()
		total += hitsOf(r).n
		return nil
	})
	return total, err
}

// setGreeting has all loops use text from soon on. Each has a copy of its own, which only its own code reads.
func setGreeting(g *reactor.Group, text string) {
	g.PostAll(func(r *reactor.Reactor) { greetingOf(r).text = text })
}

type greeting struct{ text string }

func greetingOf(r *reactor.Reactor) *greeting {
	return reactor.Shared(r, func() *greeting { return &greeting{text: "hello"} })
}

// shards is a table that is divided among the loops: each key belongs to one.
type shards struct{ g *reactor.Group }

// shard is the part of one loop.
type shard struct{ values map[string]string }

func shardOf(r *reactor.Reactor) *shard {
	return reactor.Shared(r, func() *shard { return &shard{values: map[string]string{}} })
}

func (s shards) loop(key string) int {
	h := fnv.New32a()
	io.WriteString(h, key)
	return int(h.Sum32() % uint32(s.g.Len()))
}

// set has the loop of key store value.
func (s shards) set(key, value string) {
	s.g.PostTo(s.loop(key), func(r *reactor.Reactor) { shardOf(r).values[key] = value })
}

// get asks the loop of key, and calls done on the loop that asked.
func (s shards) get(from *reactor.Reactor, key string, done func(value string, ok bool)) {
	asked := s.g.PostTo(s.loop(key), func(r *reactor.Reactor) {
		value, ok := shardOf(r).values[key]
		from.Post(func() { done(value, ok) })
	})
	if !asked {
		from.Post(func() { done("", false) }) // that loop is lost, and its part with it
	}
}

// store is a protocol: "set KEY VALUE" and "get KEY".
type store struct {
	receiver.Line
	all shards
}

// newStore makes one for each connection, on any loop.
func newStore(g *reactor.Group) reactor.Factory {
	return reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		s := &store{all: shards{g}}
		s.Delimiter = "\n"
		s.LineReceived = func(line []byte) { s.command(strings.Fields(string(line))) }
		return s
	})
}

func (s *store) command(words []string) {
	switch {
	case len(words) == 3 && words[0] == "set":
		s.all.set(words[1], words[2])
	case len(words) == 2 && words[0] == "get":
		s.all.get(s.T.Reactor(), words[1], func(value string, ok bool) {
			fmt.Fprintln(s.T, value, ok) // after a loss of the connection, this does nothing
		})
	}
}
