package sim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/kerneltest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// TestSilentPeers: the simulated kernel notices peers that are gone, as the others do.
func TestSilentPeers(t *testing.T) {
	for name, silence := range map[string]func(n *sim.Net){
		"partition": func(n *sim.Net) { n.Partition("localhost", "localhost") },
		"hold":      func(n *sim.Net) { n.Hold("localhost", "localhost") },
		"rule":      func(n *sim.Net) { n.AddRule(func(*sim.Segment) sim.Verdict { return sim.Verdict{Drop: true} }) },
	} {
		t.Run(name, func(t *testing.T) {
			kerneltest.RunSilent(t, func(t *testing.T) (kernel.Kernel, func(kernel.Conn)) {
				n := sim.New(uint64(len(t.Name())))
				return n.Kernel(), func(kernel.Conn) { silence(n) }
			})
		})
	}
}

// probed connects a client with these options, on which nothing happens after its first echo
// at the time last.
func probed(t *testing.T, seed uint64, o kernel.StreamOptions) (n *sim.Net, p *recorder, last time.Duration) {
	t.Helper()
	n, srv, cli := two(t, seed, echoes())
	p = new(recorder)
	cli.Reactor.Dial(srv.Addr(7), reactor.One(p), &reactor.DialConfig{DialOptions: kernel.DialOptions{StreamOptions: o}}, nil)
	must(t, n, func() bool { return p.T != nil })
	p.T.Write([]byte("x"))
	must(t, n, func() bool { return p.got.Len() == 1 })
	return n, p, n.Now()
}

// TCP-85: a peer that is gone is noticed idle + interval * count after it was last heard, which
// may be by an answer to a probe. If it answers in time, nothing happens. A host that has
// crashed and is there again answers with a reset.
func TestKeepAlive(t *testing.T) {
	const never = time.Duration(-1)
	own := kernel.Probes{KeepIdle: 10 * time.Second, KeepInterval: 2 * time.Second, KeepCount: 3}
	for name, x := range map[string]struct {
		options kernel.StreamOptions
		cut     func(n *sim.Net) (mend func())
		at      time.Duration // since the last byte
		mended  time.Duration // since the last byte; 0: never
		want    time.Duration // since the last byte
		err     error
	}{
		"off":             {kernel.StreamOptions{}, severed, time.Second, 0, never, nil},
		"default":         {kernel.StreamOptions{KeepAlive: true}, severed, time.Second, 0, 150 * time.Second, kernel.ErrTimeout},
		"answered twice":  {kernel.StreamOptions{KeepAlive: true}, severed, 40 * time.Second, 0, 180 * time.Second, kernel.ErrTimeout},
		"crash":           {kernel.StreamOptions{KeepAlive: true}, crashed, time.Second, 0, 150 * time.Second, kernel.ErrTimeout},
		"own probes":      {kernel.StreamOptions{KeepAlive: true, Probes: own}, severed, 25 * time.Second, 0, 36 * time.Second, kernel.ErrTimeout},
		"half severed":    {kernel.StreamOptions{KeepAlive: true, Probes: own}, half, time.Second, 0, 16 * time.Second, kernel.ErrTimeout},
		"healed in time":  {kernel.StreamOptions{KeepAlive: true, Probes: own}, severed, time.Second, 13 * time.Second, never, nil},
		"healed too late": {kernel.StreamOptions{KeepAlive: true, Probes: own}, severed, time.Second, 17 * time.Second, 16 * time.Second, kernel.ErrTimeout},
		"restarted":       {kernel.StreamOptions{KeepAlive: true, Probes: own}, crashed, time.Second, 3 * time.Second, 10 * time.Second, kernel.ErrReset},
	} {
		t.Run(name, func(t *testing.T) {
			n, p, last := probed(t, 1, x.options)
			n.At(last+x.at, func() {
				mend := x.cut(n)
				if x.mended > 0 {
					n.At(last+x.mended, mend)
				}
			})
			if err := n.RunUntil(func() bool { return p.lost != nil }, time.Hour); x.want == never {
				if p.lost != nil {
					t.Errorf("lost at %v: %v", n.Now()-last, p.lost)
				}
				return
			} else if err != nil {
				t.Fatal(err)
			}
			if took := n.Now() - last; !errors.Is(p.lost, x.err) || took < x.want-20*time.Millisecond || took > x.want+20*time.Millisecond {
				t.Errorf("lost after %v: %v; want %v after %v", took, p.lost, x.err, x.want)
			}
		})
	}
}

func severed(n *sim.Net) (mend func()) { return n.Partition("srv", "cli") }

func half(n *sim.Net) (mend func()) { return n.PartitionOneWay("srv", "cli") }

func crashed(n *sim.Net) (mend func()) {
	n.Host("srv").Crash()
	return n.Host("srv").Restart
}

// A network on which all answer has nothing to do, though there is keepalive.
func TestKeepAliveIsQuiet(t *testing.T) {
	n, p, last := probed(t, 1, kernel.StreamOptions{KeepAlive: true})
	heal := n.Partition("srv", "cli")
	n.At(last+30*time.Second, heal)
	if err := n.RunUntil(func() bool { return false }, time.Hour); !errors.Is(err, sim.ErrDeadlock) || n.Now()-last > time.Minute {
		t.Errorf("at %v: %v", n.Now()-last, err)
	}
	p.T.Write([]byte("y"))
	must(t, n, func() bool { return p.got.Len() == 2 })
}

// idle is a producer that never writes.
type idle struct{}

func (idle) PauseProducing()  {}
func (idle) ResumeProducing() {}
func (idle) StopProducing()   {}

// TCP-83: a stream that waits for nothing is lost when keepalive has given up, as one that reads.
// TCP-85: so it is with the probes that SetProbes has set while the connection lives.
func TestKeepAliveOfQuietStream(t *testing.T) {
	own := kernel.Probes{KeepIdle: 10 * time.Second, KeepInterval: 2 * time.Second, KeepCount: 3}
	const want = 16 * time.Second
	for what, c := range map[string]struct {
		options kernel.StreamOptions
		quiet   func(s *reactor.Stream) error
	}{
		"paused": {kernel.StreamOptions{KeepAlive: true, Probes: own}, func(s *reactor.Stream) error { s.PauseProducing(); return nil }},
		"closing": {kernel.StreamOptions{KeepAlive: true, Probes: own}, func(s *reactor.Stream) error {
			return errors.Join(s.RegisterProducer(idle{}), s.Close())
		}},
		"set, reading": {kernel.StreamOptions{}, func(s *reactor.Stream) error { return s.SetProbes(own) }},
		"set, paused":  {kernel.StreamOptions{KeepAlive: true}, func(s *reactor.Stream) error { s.PauseProducing(); return s.SetProbes(own) }},
	} {
		t.Run(what, func(t *testing.T) {
			n, p, _ := probed(t, 1, c.options)
			s, _ := reactor.As[*reactor.Stream](p.T)
			if err := c.quiet(s); err != nil {
				t.Fatal(err)
			}
			begin := n.Now()
			severed(n)
			if err := n.RunUntil(func() bool { return p.lost != nil }, time.Hour); err != nil {
				t.Fatal(err)
			}
			if took := n.Now() - begin; !errors.Is(p.lost, kernel.ErrTimeout) || took < want-50*time.Millisecond || took > want+50*time.Millisecond {
				t.Errorf("TCP-83, TCP-85: lost after %v: %v; want %v", took, p.lost, want)
			}
		})
	}
}

// TCP-86: a peer that lives and takes nothing ends the connection when UserTimeout has passed since
// the first byte for which it had no room, though more is written meanwhile. If it takes all
// in time, or if the limit is taken away, nothing happens, also when the connection is quiet then.
func TestUserTimeoutOfSlowPeer(t *testing.T) {
	const limit, size = 10 * time.Second, 1000
	for name, x := range map[string]struct {
		at   time.Duration // since the first byte too many
		do   func(srv *sim.Host, s *reactor.Stream)
		lost bool
	}{
		"takes nothing":   {time.Second, func(*sim.Host, *reactor.Stream) {}, true},
		"takes all":       {limit - 2*time.Second, func(srv *sim.Host, _ *reactor.Stream) { srv.Resume() }, false},
		"takes too late":  {limit + time.Second, func(srv *sim.Host, _ *reactor.Stream) { srv.Resume() }, true},
		"without a limit": {time.Second, func(_ *sim.Host, s *reactor.Stream) { s.SetUserTimeout(0) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			n, srv, cli := two(t, 1, readers())
			n.Options.SendBuffer, n.Options.RecvBuffer = size, size
			p := new(recorder)
			o := kernel.StreamOptions{UserTimeout: limit}
			cli.Reactor.Dial(srv.Addr(7), reactor.One(p), &reactor.DialConfig{DialOptions: kernel.DialOptions{StreamOptions: o}}, nil)
			must(t, n, func() bool { return p.T != nil })
			srv.Pause()
			say(n, p, strings.Repeat("x", size)) // for which there is room
			if err := n.Run(time.Hour); err != nil || p.lost != nil {
				t.Fatal(err, p.lost)
			}
			begin := n.Now()
			for i := range 15 {
				n.At(begin+time.Duration(i)*time.Second, func() { p.T.Write([]byte("y")) })
			}
			n.At(begin+x.at, func() { x.do(srv, p.T.(*reactor.Stream)) })
			err := n.RunUntil(func() bool { return p.lost != nil }, time.Hour)
			if took := n.Now() - begin; x.lost && (err != nil || !errors.Is(p.lost, kernel.ErrTimeout) || took < limit || took > limit+time.Second) {
				t.Errorf("lost after %v: %v, %v", took, p.lost, err)
			} else if !x.lost && p.lost != nil {
				t.Errorf("lost after %v: %v", took, p.lost)
			}
		})
	}
}

// readers read and say nothing.
func readers() reactor.Factory {
	return reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return new(recorder) })
}
