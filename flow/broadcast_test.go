package flow_test

import (
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// members makes n queues of one reactor, above slow transports that are fast.
func members(t *testing.T, n int, o flow.QueueOptions) (r *reactor.Reactor, qs []*flow.Queue, ts []*slow) {
	t.Helper()
	r = virtual(t, reactor.Config{})
	for range n {
		s := &slow{stub: stub{r: r}, fast: true}
		q, err := flow.NewQueue(s, &o)
		if err != nil {
			t.Fatal(err)
		}
		qs, ts = append(qs, q), append(ts, s)
	}
	return r, qs, ts
}

// POL-14: messages within the interval go in one write, which all members share; those who come later get nothing older, and
// those who leave nothing newer.
func TestBroadcast(t *testing.T) {
	r, qs, ts := members(t, 3, flow.QueueOptions{})
	b := flow.NewBroadcaster(r, &flow.BroadcastOptions{Interval: 10 * time.Millisecond, MaxBytes: 8})
	b.Add(qs[0])
	b.Add(qs[1])
	b.Add(qs[1])
	if b.Len() != 2 {
		t.Errorf("%d members", b.Len())
	}
	b.Send([]byte("ab"))
	pass(t, r, 9*time.Millisecond)
	b.Send([]byte("cd"))
	if len(ts[0].got) != 0 {
		t.Errorf("got %q within the interval", ts[0].got)
	}
	pass(t, r, 2*time.Millisecond)
	b.Send([]byte("ef"))
	b.Add(qs[2])
	b.Send([]byte("gh"))
	b.Remove(qs[0])
	b.Remove(qs[0])
	b.Send([]byte("ijklmn"))
	b.Send([]byte("o"))
	pass(t, r, 11*time.Millisecond)
	for i, want := range []string{"abcd ef", "abcd ef ghijklmn o", "ghijklmn o"} {
		if got := strings.Join(ts[i].got, " "); got != want {
			t.Errorf("member %d got %q, want %q", i, got, want)
		}
	}
	if got := qs[1].Stats().Sent; got != 6 {
		t.Errorf("%d messages were sent in four batches", got)
	}
	if len(r.DelayedCalls()) != 0 {
		t.Error("a delayed call is left")
	}
}

// POL-14: without an interval those of a turn go together, and with a negative one each alone. POL-13: a batch that is dropped counts
// as its messages.
func TestBroadcastInterval(t *testing.T) {
	r, qs, ts := members(t, 2, flow.QueueOptions{Policy: flow.DropOldest, MaxBytes: 100})
	b := flow.NewBroadcaster(r, nil)
	b.Add(qs[0])
	b.Send([]byte("a"))
	b.Send([]byte("b"))
	pass(t, r, time.Millisecond)
	now := flow.NewBroadcaster(r, &flow.BroadcastOptions{Interval: -1})
	now.Add(qs[0])
	now.Add(qs[1])
	now.Send([]byte("c"))
	now.Send([]byte("d"))
	if got := strings.Join(ts[0].got, " "); got != "ab c d" {
		t.Errorf("got %q", got)
	}
	qs[0].PauseProducing()
	for range 2 {
		b.Send([]byte("e"))
		b.Send([]byte("f"))
		b.Flush()
	}
	if got := qs[0].Stats(); got.Dropped != 2 || got.Queued != 2 {
		t.Errorf("%+v", got)
	}
}

// POL-14: members whose connections end leave, also in the middle of a send, and none of the others misses anything.
func TestBroadcastLost(t *testing.T) {
	r, qs, ts := members(t, 5, flow.QueueOptions{Policy: flow.Disconnect, MaxBytes: cost + 10})
	b := flow.NewBroadcaster(r, nil)
	for _, q := range qs {
		b.Add(q)
	}
	qs[0].PauseProducing()
	qs[2].PauseProducing()
	for _, m := range []string{"first", "second", "third"} {
		b.Send([]byte(m))
		b.Flush()
	}
	if b.Len() != 3 || !ts[0].aborted || !ts[2].aborted {
		t.Errorf("%d members", b.Len())
	}
	qs[4].StopProducing()
	b.Add(qs[4])
	b.Send([]byte("last"))
	b.Flush()
	for i, want := range []string{"", "first second third last", "", "first second third last", "first second third"} {
		if got := strings.Join(ts[i].got, " "); got != want {
			t.Errorf("member %d got %q, want %q", i, got, want)
		}
	}
	if b.Len() != 2 {
		t.Errorf("%d members", b.Len())
	}
}

// POL-14: real connections get each batch whole, however it is cut, and one that does not read holds nobody up.
func TestBroadcastToMany(t *testing.T) {
	chunked(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		b := flow.NewBroadcaster(r, &flow.BroadcastOptions{Interval: time.Millisecond})
		f := reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
			return &app{made: func(c reactor.Transport) {
				q, err := flow.NewQueue(c, &flow.QueueOptions{Policy: flow.DropOldest, MaxBytes: 4 << 10})
				if err != nil {
					t.Error(err)
					return
				}
				b.Add(q)
			}}
		})
		port, err := r.Listen(loopback(), f, &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 256}})
		if err != nil {
			t.Fatal(err)
		}
		peers := []*testworld.Peer{w.Peer(t, port.Addr(), r), w.Peer(t, port.Addr(), r), w.Peer(t, port.Addr(), r)}
		testworld.Until(t, func() bool { return b.Len() == 3 }, r)
		for i := range 20 {
			b.Send([]byte(strings.Repeat(string(rune('a'+i)), 9) + "\n"))
			if i%3 == 0 {
				testworld.Turns(t, r, 1)
			}
		}
		b.Flush()
		for _, p := range peers[:2] { // the last one reads nothing
			for i := range 20 {
				p.Expect(strings.Repeat(string(rune('a'+i)), 9) + "\n")
			}
			p.Close()
		}
		testworld.Until(t, func() bool { return b.Len() == 1 }, r)
	})
}

// echoing is a transport whose writes make another message, as one does of which the traffic is broadcast.
type echoing struct {
	slow
	wrote func(p string)
}

func (e *echoing) Write(p []byte) (int, error) {
	n, err := e.slow.Write(p)
	e.wrote(string(p))
	return n, err
}

// POL-14: a message that is sent while a batch goes out is the next batch, also if nothing is gathered.
func TestBroadcastInside(t *testing.T) {
	r := virtual(t, reactor.Config{})
	e := &echoing{slow: slow{stub: stub{r: r}, fast: true}}
	q, err := flow.NewQueue(e, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := flow.NewBroadcaster(r, &flow.BroadcastOptions{Interval: -1})
	b.Add(q)
	e.wrote = func(p string) {
		if p == "a" {
			b.Send([]byte("b"))
		}
	}
	b.Send([]byte("a"))
	pass(t, r, time.Second)
	if got := e.got; len(got) != 2 || got[1] != "b" {
		t.Errorf("%q was written", got)
	}
}

// brittle is a slow transport that panics in Write, such as one below which a traffic log panics.
type brittle struct{ slow }

func (b *brittle) Write([]byte) (int, error) { panic("writing") }

// A member whose transport panics ends its own connection. All others get the message, and the next ones.
func TestBroadcastPanic(t *testing.T) {
	panics := 0
	r := virtual(t, reactor.Config{Panicked: func(*reactor.PanicError) { panics++ }})
	b := flow.NewBroadcaster(r, &flow.BroadcastOptions{Interval: -1})
	bad := &brittle{slow{stub: stub{r: r}, fast: true}}
	good := []*slow{{stub: stub{r: r}, fast: true}, {stub: stub{r: r}, fast: true}}
	for _, c := range []reactor.Transport{good[0], bad, good[1]} {
		q, err := flow.NewQueue(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.Add(q)
	}
	r.CallLater(0, func() { b.Send([]byte("one")) })
	testworld.Turns(t, r, 2)
	r.CallLater(0, func() { b.Send([]byte("two")) })
	testworld.Turns(t, r, 2)
	for i, s := range good {
		if len(s.got) != 2 {
			t.Errorf("member %d got %q", i, s.got)
		}
	}
	if panics == 0 || !bad.aborted || b.Len() != 2 {
		t.Errorf("%d panics, aborted: %v, %d members are left", panics, bad.aborted, b.Len())
	}
}
