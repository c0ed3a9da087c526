package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/probe"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// pump is a producer that writes all of rest in pieces, and then is done.
type pump struct {
	to     *reactor.Stream
	rest   []byte
	piece  int
	paused bool
	ended  bool
	done   func()
}

func (p *pump) start() error {
	err := p.to.RegisterProducer(p)
	p.ResumeProducing()
	return err
}

func (p *pump) PauseProducing() { p.paused = true }
func (p *pump) StopProducing()  { p.ended = true }

func (p *pump) ResumeProducing() {
	p.paused = false
	for !p.paused && !p.ended && len(p.rest) > 0 {
		q := p.rest[:min(p.piece, len(p.rest))]
		p.rest = p.rest[len(q):]
		p.to.Write(q)
	}
	if len(p.rest) == 0 && !p.ended {
		p.ended = true
		p.to.UnregisterProducer()
		p.done()
	}
}

// peer is one end of a transfer. It sends what it has, ends its direction or all, and
// keeps what it hears.
type peer struct {
	s     *reactor.Stream
	pump  pump
	nap   time.Duration // how long it pauses after the first piece; 0: not
	got   []byte
	calls []string
	lost  error
}

func (p *peer) ConnectionMade(t reactor.Transport) {
	p.s = t.(*reactor.Stream)
	p.pump.to = p.s
	p.calls = append(p.calls, "made")
}

func (p *peer) DataReceived(b []byte) {
	p.got = append(p.got, b...)
	if p.nap > 0 {
		p.s.PauseProducing()
		p.s.Reactor().CallLater(p.nap, p.s.ResumeProducing)
		p.nap = 0
	}
}

func (p *peer) WriteConnectionLost() { p.calls = append(p.calls, "write lost") }

func (p *peer) ConnectionLost(err error) {
	p.lost = err
	p.calls = append(p.calls, "lost")
}

// client sends all it has and ends its direction; when the answer has ended it closes.
type client struct{ peer }

func (p *client) ConnectionMade(t reactor.Transport) {
	p.peer.ConnectionMade(t)
	p.pump.done = func() { p.s.CloseWrite() }
	p.pump.start()
}

func (p *client) ReadConnectionLost() {
	p.calls = append(p.calls, "read lost")
	p.s.Close()
}

// answerer hears all of a question and then answers it, and closes.
type answerer struct{ peer }

func (p *answerer) ReadConnectionLost() {
	p.calls = append(p.calls, "read lost")
	p.pump.rest = answer(p.got)
	p.pump.done = func() { p.s.Close() }
	p.pump.start()
}

// answer is the question backwards, twice.
func answer(q []byte) []byte {
	a := slices.Clone(q)
	slices.Reverse(a)
	return append(a, a...)
}

// dice is a source of numbers for tests.
type dice uint64

func (d *dice) below(n int) int {
	*d = *d*6364136223846793005 + 1442695040888963407
	return int(uint64(*d)>>33) % n
}

// transfer is one run of clients and answerers.
type transfer struct {
	seed   uint64
	sites  float64
	keep   bool // the trace
	wrap   func(*sim.Host, kernel.Kernel) kernel.Kernel
	server func(*answerer) reactor.Protocol // nil: as it is
	n      *sim.Net
}

func (x *transfer) run() error {
	d := dice(x.seed + 1)
	n := sim.New(x.seed)
	x.n = n
	n.Options.Sites, n.Wrap, n.KeepTrace = x.sites, x.wrap, x.keep
	n.Options.Chunk = []int{1, 2, 3, 7, 0}[x.seed%5]
	n.Options.Latency = sim.Latency{Min: time.Millisecond, Max: time.Duration(1+d.below(5)) * time.Millisecond}
	n.Options.SendBuffer, n.Options.RecvBuffer = 1+d.below(3000), 1+d.below(3000)
	n.Config.ReadBuffer = 32 << 10 // more than a RecvBuffer below
	most := 100 * (1 + n.Options.Chunk)
	if n.Options.Chunk == 0 {
		most, n.Options.SendBuffer, n.Options.RecvBuffer = 60_000, 20_000, 20_000
	}
	cfg := reactor.StreamConfig{HighWater: 1 + d.below(40_000)}
	srv, cli := n.Host("srv"), n.Host("cli")
	var servers []*answerer
	_, err := srv.Reactor.Listen(srv.Addr(7), reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol {
		p := &answerer{}
		p.pump.piece = 1 + d.below(most)
		servers = append(servers, p)
		if x.server != nil {
			return x.server(p)
		}
		return p
	}), &reactor.ListenConfig{StreamConfig: cfg})
	if err != nil {
		return err
	}
	var clients []*client
	for range 3 {
		p := &client{}
		p.pump.rest = make([]byte, d.below(most))
		for i := range p.pump.rest {
			p.pump.rest[i] = byte(d.below(256))
		}
		p.pump.piece = 1 + d.below(most)
		p.nap = time.Duration(d.below(20)) * time.Millisecond
		clients = append(clients, p)
	}
	return x.talk(cli, clients, &servers, cfg)
}

// talk runs until all connections are lost, and compares.
func (x *transfer) talk(cli *sim.Host, clients []*client, servers *[]*answerer, cfg reactor.StreamConfig) error {
	questions := map[string]int{}
	for _, p := range clients {
		questions[string(p.pump.rest)]++
		cli.Reactor.Dial(kernel.HostAddr("srv", 7), reactor.One(p),
			&reactor.DialConfig{StreamConfig: cfg}, nil)
	}
	wants := make([][]byte, len(clients))
	for i, p := range clients {
		wants[i] = answer(p.pump.rest)
	}
	err := x.n.RunUntil(func() bool {
		open := len(clients) - len(*servers)
		for _, p := range clients {
			open += count(p.lost == nil)
		}
		for _, p := range *servers {
			open += count(p.lost == nil)
		}
		return open == 0
	}, time.Hour)
	if err != nil {
		return err
	}
	for i, p := range clients {
		if !bytes.Equal(p.got, wants[i]) || p.lost != reactor.ErrClosed {
			return fmt.Errorf("client %d: %d bytes of %d came back, lost with %v", i, len(p.got), len(wants[i]), p.lost)
		}
		if err := inOrder(p.calls); err != nil {
			return err
		}
	}
	for i, p := range *servers {
		if questions[string(p.got)]--; questions[string(p.got)] < 0 || p.lost != reactor.ErrClosed {
			return fmt.Errorf("server %d: heard %d bytes that nobody sent, lost with %v", i, len(p.got), p.lost)
		}
	}
	return x.n.Close()
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// inOrder wants both directions to have ended, each once, before the loss.
func inOrder(calls []string) error {
	last := len(calls) - 1
	if last != 3 || calls[0] != "made" || calls[last] != "lost" || calls[1] == calls[2] {
		return errors.New("calls: " + fmt.Sprint(calls))
	}
	return nil
}

// wrapKernel passes everything on, with conns of wrap's.
type wrapKernel struct {
	kernel.Kernel
	wrap  func(kernel.Conn) kernel.Conn
	ahead time.Duration // of its clock, once it has jumped
	calls int           // of Now until then
	hear  func(probe.Note, func(probe.Note))
}

func (k *wrapKernel) Unwrap() kernel.Kernel { return k.Kernel }

func (k *wrapKernel) conn(c kernel.Conn, err error) (kernel.Conn, error) {
	if err != nil || k.wrap == nil {
		return c, err
	}
	return k.wrap(c), nil
}

// wrapListener accepts conns of its kernel's wrap.
type wrapListener struct {
	kernel.Listener
	k *wrapKernel
}

func (l *wrapListener) Unwrap() kernel.Listener { return l.Listener }

func (l *wrapListener) Accept() (kernel.Conn, error) { return l.k.conn(l.Listener.Accept()) }

func (k *wrapKernel) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	l, err := k.Kernel.Listen(a, o)
	if err != nil {
		return nil, err
	}
	return &wrapListener{l, k}, nil
}

func (k *wrapKernel) Dial(a kernel.Addr, o *kernel.DialOptions) (kernel.Conn, error) {
	return k.conn(k.Kernel.Dial(a, o))
}

// Now jumps ahead at a call in the midst.
func (k *wrapKernel) Now() time.Duration {
	if k.calls--; k.calls > 0 {
		return k.Kernel.Now()
	}
	return k.Kernel.Now() + k.ahead
}

func (k *wrapKernel) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	if until != 0 && until != kernel.Forever && k.calls <= 0 {
		until = max(until-k.ahead, 1)
	}
	return k.Kernel.Wait(ev, until)
}

// Observe lets hear change what the kernel is told.
func (k *wrapKernel) Observe(note probe.Note) {
	to := k.Kernel.(probe.Observer).Observe
	if k.hear == nil {
		to(note)
		return
	}
	k.hear(note, to)
}
