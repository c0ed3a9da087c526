package sim_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// nurse starts children of one host, and notes what comes of them.
type nurse struct {
	n     *sim.Net
	h     *sim.Host
	k     kernel.Spawner
	notes []string
}

func newNurse(seed uint64) *nurse {
	n := sim.New(seed)
	x := &nurse{n: n, h: n.Host("srv")}
	testworld.Shell(n)
	x.h.Start(func(h *sim.Host) { x.k, _ = kernel.As[kernel.Spawner](h.Kernel) })
	return x
}

// do calls fn in a callback of the host.
func (x *nurse) do(t *testing.T, fn func()) {
	t.Helper()
	done := false
	x.h.Reactor.Post(func() { fn(); done = true })
	if err := x.n.RunUntil(func() bool { return done && x.k != nil }, time.Second); err != nil {
		t.Fatal(err)
	}
}

// bed is one child.
type bed struct {
	x      *nurse
	c      kernel.Child
	notice *reactor.Notice
	exit   *kernel.Exit
	at     time.Duration // when it was told
}

func (b *bed) NoticeCame() {
	if e, gone, _ := b.c.Wait(); gone {
		b.exit = &e
		b.x.notes = append(b.x.notes, "exit")
		b.at = b.x.n.Now()
		b.notice.Stop()
		_ = b.c.Close()
	}
}

func (b *bed) NoticeLost(error)  { _ = b.c.Close() }
func (b *bed) LogPrefix() string { return "bed" }

// reading is a protocol for a pipe.
type reading struct {
	b    *bed
	got  []byte
	lost bool
	at   time.Duration
}

func (p *reading) ConnectionMade(reactor.Transport) {}
func (p *reading) DataReceived(d []byte)            { p.got = append(p.got, d...) }
func (p *reading) ConnectionLost(error) {
	p.lost, p.at = true, p.b.x.n.Now()
	p.b.x.notes = append(p.b.x.notes, "end")
}

// start starts a script, with its output read.
func (x *nurse) start(t *testing.T, script string) (b *bed, p *reading) {
	t.Helper()
	b = &bed{x: x}
	p = &reading{b: b}
	x.do(t, func() {})
	x.do(t, func() {
		var err error
		b.c, err = x.k.Spawn(&kernel.ChildCommand{Path: testworld.ShellPath, Args: []string{"sh", "-c", script},
			Files: []kernel.ChildFile{{Number: 0, Kind: kernel.NullFile}, {Number: 1, Kind: kernel.ReadPipe}}})
		if err != nil {
			t.Fatal(err)
		}
		if b.notice, err = x.h.Reactor.Await(b.c, b); err == nil {
			_, err = x.h.Reactor.Attach(b.c.Pipe(1), p, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	return b, p
}

// The exit is told before the end of the output, or behind it, as the seed has it. A seed is a run.
func TestExitAndOutputComeInAnyOrder(t *testing.T) {
	orders := map[string]int{}
	for seed := range uint64(40) {
		var hashes []uint64
		for range 2 {
			x := newNurse(seed)
			b, p := x.start(t, "echo out; exit 5")
			if err := x.n.RunUntil(func() bool { return b.exit != nil && p.lost }, time.Second); err != nil {
				t.Fatal(err)
			}
			if b.exit.Code != 5 || string(p.got) != "out\n" {
				t.Fatalf("seed %d: %+v, %q", seed, b.exit, p.got)
			}
			orders[strings.Join(x.notes, " ")]++
			if b.at > p.at {
				orders["later"]++
			}
			if err := x.n.Close(); err != nil {
				t.Fatal(err)
			}
			hashes = append(hashes, x.n.Hash())
		}
		if hashes[0] != hashes[1] {
			t.Errorf("seed %d: hashes %x", seed, hashes)
		}
	}
	if orders["exit end"] < 4 || orders["end exit"] < 4 || orders["later"] < 4 {
		t.Errorf("the orders are %v", orders)
	}
}

// A program that exits, or is killed, in a callback of its own logs nothing: its last turn is no failure of its kernel.
func TestLastTurn(t *testing.T) {
	x := newNurse(1)
	var log bytes.Buffer
	x.n.Config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	exited := 0
	x.n.Program("/bin/quits", func(p *sim.Program) { exited++; p.Exit(0) })
	x.do(t, func() {})
	x.do(t, func() {
		if _, err := x.k.Spawn(&kernel.ChildCommand{Path: "/bin/quits", Args: []string{"quits"}}); err != nil {
			t.Fatal(err)
		}
	})
	killed := x.n.Host("killed")
	killed.Start(func(h *sim.Host) { exited++; h.Start(nil); h.Kill() })
	x.n.Run(time.Second)
	if exited != 2 || log.Len() > 0 {
		t.Errorf("%d programs ended; the log has %q", exited, &log)
	}
}

// A child outlives its parent, and hears of its end by its pipes. It dies with the machine.
func TestOrphans(t *testing.T) {
	for seed := range uint64(20) {
		x := newNurse(seed)
		alive := map[string]*sim.Program{}
		x.n.Program("/bin/waits", func(p *sim.Program) {
			alive[p.Args[0]] = p
			if _, err := p.Attach(0, &onEnd{func() { p.Exit(0) }}); err != nil {
				t.Error(err)
			}
		})
		x.n.Program("/bin/stays", func(p *sim.Program) { alive[p.Args[0]] = p })
		x.do(t, func() {})
		for _, name := range []string{"waits", "stays"} {
			x.do(t, func() {
				c, err := x.k.Spawn(&kernel.ChildCommand{Path: "/bin/" + name, Args: []string{name}, Files: []kernel.ChildFile{{Number: 0, Kind: kernel.WritePipe}}})
				if err != nil || c.Pipe(0) == nil {
					t.Fatal(c, err)
				}
			})
		}
		x.n.Run(time.Second)
		up := func() string {
			return fmt.Sprint(alive["waits"].Host().Up(), alive["stays"].Host().Up())
		}
		if got := up(); got != "true true" {
			t.Fatalf("seed %d: at first %s run", seed, got)
		}
		x.h.Kill()
		x.n.Run(time.Second)
		if got := up(); got != "false true" {
			t.Fatalf("seed %d: when the parent was killed %s run", seed, got)
		}
		x.h.Restart()
		x.n.Run(time.Second)
		if got := up(); got != "false false" || !x.h.Up() || strings.Contains(x.n.Table(), "stays.") {
			t.Fatalf("seed %d: when the machine has crashed %s run", seed, got)
		}
	}
}

// onEnd calls gone at the end.
type onEnd struct{ gone func() }

func (e *onEnd) ConnectionMade(reactor.Transport) {}
func (e *onEnd) DataReceived([]byte)              {}
func (e *onEnd) ConnectionLost(error)             { e.gone() }

// Signals: one that is handled does not end the child, one that stops it lets it wait, and ExitCode is what a child that stops its reactor returns.
func TestChildSignals(t *testing.T) {
	x := newNurse(1)
	var p *sim.Program
	beats, terms := 0, 0
	x.n.Program("/bin/beats", func(q *sim.Program) {
		p = q
		p.Handle(syscall.SIGTERM, func() {
			if terms++; terms == 2 {
				p.ExitCode(9)
				_ = p.Reactor().Stop()
			}
		})
		var beat reactor.DelayedCall
		beat.Init(p.Reactor(), func() { beats++; beat.Reset(time.Millisecond) })
		beat.Reset(0)
	})
	x.do(t, func() {})
	b := &bed{x: x}
	x.do(t, func() {
		b.c, _ = x.k.Spawn(&kernel.ChildCommand{Path: "/bin/beats", Args: []string{"beats"}})
		b.notice, _ = x.h.Reactor.Await(b.c, b)
	})
	send := func(s syscall.Signal) {
		x.do(t, func() {
			if err := b.c.Signal(s); err != nil {
				t.Errorf("%v: %v", s, err)
			}
		})
		x.n.Run(100 * time.Millisecond)
	}
	x.n.Run(100 * time.Millisecond)
	send(syscall.SIGTERM)
	if beats < 50 || terms != 1 || b.exit != nil {
		t.Errorf("%d beats, %d signals, %+v", beats, terms, b.exit)
	}
	send(syscall.SIGTERM)
	if b.exit == nil || b.exit.Code != 9 || b.exit.Raw != 9<<8 {
		t.Errorf("%+v", b.exit)
	}
}

// What cannot be started is a typed error, by chance too. Nothing is left.
func TestSpawnErrors(t *testing.T) {
	x := newNurse(1)
	x.do(t, func() {})
	for name, want := range map[string]error{"nothing": exec.ErrNotFound, "/bin/nothing": fs.ErrNotExist, "": exec.ErrNotFound} {
		if _, err := x.k.LookPath(name); !errors.Is(err, want) {
			t.Errorf("LookPath(%q): %v", name, err)
		}
	}
	if p, err := x.k.LookPath("sh"); p != testworld.ShellPath || err != nil {
		t.Errorf("LookPath: %q, %v", p, err)
	}
	good := kernel.ChildCommand{Path: testworld.ShellPath, Args: []string{"sh", "-c", "exit 0"}}
	for want, change := range map[error]func(c *kernel.ChildCommand){
		kernel.ErrUnsupported: func(c *kernel.ChildCommand) { c.Credential = new(kernel.Credential) },
		kernel.ErrBadDescriptor: func(c *kernel.ChildCommand) {
			c.Files = []kernel.ChildFile{{Number: 0, Kind: kernel.WritePipe}, {Number: 1, Kind: kernel.GivenFile, FD: 77}}
		},
		fs.ErrNotExist: func(c *kernel.ChildCommand) { c.Path = "/bin/nothing" },
	} {
		c := good
		change(&c)
		_, err := x.k.Spawn(&c)
		if se, ok := errors.AsType[*kernel.SpawnError](err); !ok || !errors.Is(err, want) {
			t.Errorf("%#v, want %v", se, want)
		}
	}
	x.n.Options.Descriptors = 2
	c := good
	c.Files = []kernel.ChildFile{{Number: 0, Kind: kernel.WritePipe}, {Number: 1, Kind: kernel.ReadPipe}}
	if _, err := x.k.Spawn(&c); !errors.Is(err, kernel.ErrTooManyFiles) {
		t.Errorf("without descriptors: %v", err)
	}
	x.n.Options.Descriptors = 0
	x.n.Options.Spawn = 0.5
	kinds := map[error]int{}
	for range 100 {
		y, err := x.k.Spawn(&good)
		if err == nil {
			_ = y.Close()
			kinds[nil]++
		}
		for _, kind := range []error{kernel.ErrTooManyProcesses, fs.ErrNotExist} {
			if errors.Is(err, kind) {
				kinds[kind]++
			}
		}
	}
	if kinds[nil] < 30 || kinds[kernel.ErrTooManyProcesses] < 20 || kinds[fs.ErrNotExist] < 5 {
		t.Errorf("by chance: %v", kinds)
	}
	x.n.Run(time.Second)
	if err := x.n.Close(); err != nil {
		t.Error(err)
	}
}

// The class killchild kills children, and none without programs: then nothing is scheduled.
func TestKillChild(t *testing.T) {
	x := newNurse(1)
	b, _ := x.start(t, "sleep 1000")
	x.n.Apply(sim.Options{KillChild: 1})
	if err := x.n.RunUntil(func() bool { return b.exit != nil }, time.Minute); err != nil || b.exit.Signal != syscall.SIGKILL {
		t.Errorf("%v, %+v", err, b.exit)
	}
	n := sim.New(1)
	n.Host("h")
	n.Apply(sim.Options{KillChild: 100})
	n.Run(time.Minute)
	if n.Step() {
		t.Error("something is scheduled")
	}
}

// A given socket is the child's too: it serves when its parent is killed.
func TestChildServesGivenSocket(t *testing.T) {
	x := newNurse(3)
	served := 0
	x.n.Program("/bin/serves", func(p *sim.Program) {
		k, _ := kernel.As[kernel.Adopter](p.Host().Kernel)
		l, err := k.AdoptListener(4, nil)
		if err != nil {
			t.Errorf("AdoptListener: %v", err)
			return
		}
		p.CloseFile(4)
		var look reactor.DelayedCall
		look.Init(p.Reactor(), func() {
			if _, err := l.Accept(); err == nil {
				served++
			}
			look.Reset(time.Millisecond)
		})
		look.Reset(0)
	})
	x.do(t, func() {})
	x.do(t, func() {
		l, err := x.h.Kernel.Listen(x.h.Addr(80), nil)
		if err != nil {
			t.Fatal(err)
		}
		d, _ := kernel.As[kernel.Descriptors](x.h.Kernel)
		fd, err := d.DescriptorOf(l)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = x.k.Spawn(&kernel.ChildCommand{Path: "/bin/serves", Args: []string{"s"}, Files: []kernel.ChildFile{{Number: 4, Kind: kernel.GivenFile, FD: fd}}}); err != nil {
			t.Fatal(err)
		}
	})
	x.n.Run(time.Second)
	x.h.Kill()
	cli := x.n.Host("cli")
	cli.Start(func(h *sim.Host) {
		h.Reactor.Dial(x.h.Addr(80), reactor.One(&onEnd{func() {}}), nil, func(reactor.Protocol, error) {})
	})
	if err := x.n.RunUntil(func() bool { return served == 1 }, time.Second); err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(strings.Split(x.n.Table(), "\n"), func(s string) bool { return strings.HasPrefix(s, "serves.") }) {
		t.Errorf("the child is not in the table:\n%s", x.n.Table())
	}
}
