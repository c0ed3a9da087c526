package kerneltest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
)

// The programs of the suite are scripts for Shell, with the option -c. A kernel that has no such program of the
// system has one that knows these scripts.
const (
	Shell = "/bin/sh"

	ScriptTrue   = "exit 0"
	ScriptSeven  = "exit 7"
	ScriptCat    = "exec cat"                                              // copies its input to its output, and exits with 0 at the end
	ScriptSleep  = "exec sleep 1000"                                       // until a signal ends it
	ScriptDeaf   = "exec <&-; echo; exec sleep 1000"                       // closes its input, says so by a line, and sleeps
	ScriptBoth   = "echo one; echo two >&2; echo three; echo four >&2"     // writes to 1 and 2
	ScriptFamily = "sleep 1000 & echo; exec sleep 1000"                    // a child of its own has its descriptors; a line, and sleeps
	ScriptParent = "sleep 1000 & echo"                                     // leaves a child of its own behind
	ScriptStrong = "trap '' TERM; echo; while :; do sleep 1 <&- >&-; done" // ignores SIGTERM, and says so by a line
)

func spawnPromises() []promise {
	return []promise{
		{"SpawnExit", spawnExit},
		{"SpawnOutput", spawnOutput},
		{"SpawnInput", spawnInput},
		{"SpawnSame", spawnSame},
		{"SpawnSignal", spawnSignal},
		{"SpawnGroup", spawnGroup},
		{"SpawnDeaf", spawnDeaf},
		{"SpawnFull", spawnFull},
		{"SpawnGrandchild", spawnGrandchild},
		{"SpawnMany", spawnMany},
		{"SpawnGivenUp", spawnGivenUp},
		{"SpawnMissing", spawnMissing},
		{"SpawnRefused", spawnRefused},
	}
}

func (g *rig) spawner() kernel.Spawner {
	g.Helper()
	s, ok := kernel.As[kernel.Spawner](g.k)
	if !ok {
		g.Skip("no kernel.Spawner")
	}
	return s
}

// pipes are the three that most children have.
func pipes() []kernel.ChildFile {
	return []kernel.ChildFile{{Number: 0, Kind: kernel.WritePipe}, {Number: 1, Kind: kernel.ReadPipe}, {Number: 2, Kind: kernel.ReadPipe}}
}

// spawn starts a script. The rig kills it at the end, if it still runs.
func (g *rig) spawn(script string, files []kernel.ChildFile) kernel.Child {
	g.Helper()
	return g.spawnAs(kernel.ChildCommand{Args: []string{"sh", "-c", script}, Files: files})
}

func (g *rig) spawnAs(c kernel.ChildCommand) kernel.Child {
	g.Helper()
	c.Path = Shell
	c.Env = []string{"PATH=/usr/bin:/bin"}
	x, err := g.spawner().Spawn(&c)
	if err != nil {
		g.Fatalf("Spawn: %v", err)
	}
	if x.Pid() <= 0 {
		g.Fatalf("a child has the number %d", x.Pid())
	}
	k := &killed{Child: x, g: g, pipes: make(map[int]kernel.Conn)}
	for _, f := range c.Files {
		if p := x.Pipe(f.Number); p != nil {
			k.pipes[f.Number] = keep(g, p)
			if x.Pipe(f.Number) != nil {
				g.Error("a pipe was given twice")
			}
		}
	}
	return k
}

// killed is a child whose Close kills it and waits for its exit.
type killed struct {
	kernel.Child
	g      *rig
	pipes  map[int]kernel.Conn // which the child gives only once
	closed bool
}

// Pipe is kernel.Child.
func (k *killed) Pipe(fd int) kernel.Conn {
	if p := k.pipes[fd]; p != nil {
		return p
	}
	return k.Child.Pipe(fd)
}

func (k *killed) Close() error {
	if !k.closed {
		k.closed = true
		_ = k.Signal(syscall.SIGKILL)
		k.g.becomes(k.Child, kernel.Readable)
		_, _, _ = k.Wait()
		k.g.gone(k.Child)
	}
	return k.Child.Close()
}

// exits waits for the exit of x.
func (g *rig) exits(x kernel.Child) kernel.Exit {
	g.Helper()
	g.becomes(handleOf(x), kernel.Readable)
	e, gone, err := x.Wait()
	if !gone || err != nil {
		g.Fatalf("Wait after the notice: %+v, %v, %v", e, gone, err)
	}
	return e
}

// spawnExit: the child is Readable from its exit on (PROC-22), Wait tells it once and for all, and takes the
// process from the system.
func spawnExit(g *rig) {
	x := g.spawn(ScriptSeven, nil)
	defer x.Close()
	tok := g.arm(handleOf(x), kernel.Readable|kernel.Writable)
	g.armed[tok] = kernel.Readable
	for range 2 { // it stays so, like readiness of any handle
		g.until("the exit", nil, func() bool { return len(g.wait(g.k.Now()+limit)) > 0 })
	}
	first, gone, err := x.Wait()
	if !gone || err != nil || first.Code != 7 || first.Signal != 0 || first.Core || first.Unknown {
		g.Fatalf("exit 7 is %+v, %v, %v", first, gone, err)
	}
	if again, gone, err := x.Wait(); again != first || !gone || err != nil {
		g.Errorf("the second Wait: %+v, %v, %v", again, gone, err)
	}
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.Signal(0)} {
		g.isOne("Signal after the exit", x.Signal(s), kernel.ErrExited) // PROC-40
		g.isOne("Signal after the exit", x.Signal(s), os.ErrProcessDone)
	}
	g.arm(handleOf(x), 0)
	g.exactly(g.k.Now() + moment)
	if a := x.Local(); !a.IsZero() {
		g.Errorf("a child has the address %v", a)
	}
	for range 2 {
		if err := x.Close(); err != nil {
			g.Error(err)
		}
	}
	if err := g.k.Arm(handleOf(x), 1, kernel.Readable); !errors.Is(err, kernel.ErrClosed) {
		g.Errorf("Arm after Close: %v", err)
	}
}

// all reads from c until its end.
func (g *rig) all(c kernel.Conn) []byte {
	g.Helper()
	var got []byte
	p := make([]byte, 1000)
	for {
		n, err := g.read(c, p)
		got = append(got, p[:n]...)
		if err == io.EOF {
			return got
		}
		if err != nil {
			g.Fatalf("Read after %q: %v", got, err)
		}
	}
}

// spawnOutput: each pipe has what the child has written to its number, and ends.
func spawnOutput(g *rig) {
	x := g.spawn(ScriptBoth, pipes())
	defer x.Close()
	if got := g.all(x.Pipe(1)); string(got) != "one\nthree\n" {
		g.Errorf("output %q", got)
	}
	if got := g.all(x.Pipe(2)); string(got) != "two\nfour\n" {
		g.Errorf("error output %q", got)
	}
	if e := g.exits(x); e.Code != 0 || e.Signal != 0 {
		g.Errorf("exit %+v", e)
	}
	for _, n := range []int{-1, 3, 1 << 30} {
		if c := x.Pipe(n); c != nil {
			g.Errorf("a pipe %d", n)
		}
	}
	if _, err := x.Pipe(1).Write([]byte("x")); !errors.Is(err, kernel.ErrBroken) {
		g.Errorf("Write to a pipe that we read: %v", err)
	}
	for _, n := range []int{0, 1, 2} {
		if c := x.Pipe(n); !c.Local().IsZero() || !c.Remote().IsZero() { // PROC-42
			g.Errorf("pipe %d has addresses", n)
		}
	}
}

// spawnInput: what is written comes out, whole and in order, and Close is the end for the child.
func spawnInput(g *rig) {
	x := g.spawn(ScriptCat, pipes())
	defer x.Close()
	in, out := x.Pipe(0), x.Pipe(1)
	sent := bytes.Repeat([]byte("0123456789abcdef"), 20_000) // more than pipes hold
	var got []byte
	tokIn, tokOut := g.arm(in, kernel.Writable), g.arm(out, kernel.Readable)
	p := make([]byte, 10_000)
	at := 0
	g.until("all of it", func(e kernel.Event) {
		if e.Token == tokIn {
			n, err := in.Write(sent[at:])
			if err != nil && err != kernel.ErrAgain {
				g.Fatalf("Write: %v", err)
			}
			if at += n; at == len(sent) {
				g.arm(in, 0)
			}
		}
		if e.Token == tokOut {
			n, err := out.Read(p)
			if err != nil && err != kernel.ErrAgain {
				g.Fatalf("Read: %v", err)
			}
			got = append(got, p[:n]...)
		}
	}, func() bool { return len(got) == len(sent) })
	if !bytes.Equal(got, sent) {
		g.Error("it came out changed")
	}
	if n, err := in.Read(p); n != 0 || err != kernel.ErrAgain {
		g.Errorf("Read of a pipe that we write: %d, %v", n, err)
	}
	g.arm(out, 0)
	g.quiet(in, kernel.Readable)
	if err := in.CloseWrite(); err != nil {
		g.Error(err)
	}
	_, err := in.Write([]byte("x"))
	g.isOne("Write after CloseWrite", err, kernel.ErrBroken)
	in.Close()
	g.gone(in)
	g.ends(out)
	if e := g.exits(x); e.Code != 0 {
		g.Errorf("exit %+v", e)
	}
}

// spawnSame: two numbers of the child with one pipe keep the order of what is written.
func spawnSame(g *rig) {
	x := g.spawn(ScriptBoth, []kernel.ChildFile{{Number: 2, Kind: kernel.SameFile, FD: 1}, {Number: 1, Kind: kernel.ReadPipe}})
	defer x.Close()
	if got := g.all(x.Pipe(1)); string(got) != "one\ntwo\nthree\nfour\n" {
		g.Errorf("read %q", got)
	}
	if x.Pipe(2) != nil {
		g.Error("the other number has a pipe of its own")
	}
	g.exits(x)
}

// spawnSignal: a signal reaches the child, and the exit tells it (PROC-40).
func spawnSignal(g *rig) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, syscall.SIGINT, syscall.SIGHUP} {
		x := g.spawn(ScriptSleep, nil)
		if e, gone, err := x.Wait(); gone || err != nil {
			g.Fatalf("Wait while it runs: %+v, %v, %v", e, gone, err)
		}
		g.quiet(handleOf(x), kernel.Readable)
		if err := x.Signal(syscall.Signal(0)); err != nil {
			g.Errorf("Signal 0: %v", err)
		}
		if err := x.Signal(s); err != nil {
			g.Fatalf("%v: %v", s, err)
		}
		if e := g.exits(x); e.Signal != s || e.Code != -1 || e.Unknown {
			g.Errorf("%v ends it with %+v", s, e)
		}
		x.Close()
	}
	x := g.spawn(ScriptSleep, nil)
	defer x.Close()
	for _, s := range []os.Signal{syscall.Signal(-1), syscall.Signal(1000), noSignal{}} {
		g.isOne("a signal that is none", x.Signal(s), kernel.ErrInvalidOption)
	}
	g.isOne("SignalGroup without a group", x.SignalGroup(syscall.SIGTERM), kernel.ErrUnsupported)
	x.Close()
	g.isOne("Signal after Close", x.Signal(syscall.SIGTERM), kernel.ErrExited)
}

type noSignal struct{}

func (noSignal) Signal()        {}
func (noSignal) String() string { return "no signal" }

// spawnGroup: a signal to the group reaches the child's own children too.
func spawnGroup(g *rig) {
	for _, c := range []kernel.ChildCommand{{Group: true}, {Session: true}, {Session: true, Group: true}} {
		c.Args = []string{"sh", "-c", ScriptFamily}
		c.Files = []kernel.ChildFile{{Number: 1, Kind: kernel.ReadPipe}}
		x := g.spawnAs(c)
		g.receive(x.Pipe(1), 1)
		if err := x.SignalGroup(syscall.SIGTERM); err != nil {
			g.Fatalf("%+v: %v", c, err)
		}
		g.ends(x.Pipe(1)) // nobody has it any more
		if e := g.exits(x); e.Signal != syscall.SIGTERM {
			g.Errorf("the leader: %+v", e)
		}
		if err := x.SignalGroup(syscall.SIGTERM); err != nil {
			g.isOne("SignalGroup to nobody", err, kernel.ErrExited)
		}
		x.Close()
		g.isOne("SignalGroup after Close", x.SignalGroup(syscall.SIGTERM), kernel.ErrExited)
	}
}

// spawnDeaf: we hear that the child has closed its input without writing to it (PROC-35).
func spawnDeaf(g *rig) {
	x := g.spawn(ScriptDeaf, pipes())
	defer x.Close()
	in := x.Pipe(0)
	g.receive(x.Pipe(1), 1)
	if err := in.Connected(); err != nil {
		g.Errorf("Connected before the first Arm: %v", err)
	}
	g.becomes(in, kernel.Readable)
	g.ends(in)
	g.isOne("Connected", in.Connected(), kernel.ErrBroken)
	if !kernel.LimitsOf(g.k).NoFailed {
		g.becomes(in, kernel.Failed)
	}
	_, err := in.Write([]byte("x"))
	g.isOne("Write", err, kernel.ErrBroken)
}

// spawnFull: a child that does not read makes writes wait, and its death is found by the write that waits
// (PROC-36).
func spawnFull(g *rig) {
	x := g.spawn(ScriptSleep, pipes())
	defer x.Close()
	in := x.Pipe(0)
	p := make([]byte, 64<<10)
	for total := 0; ; {
		n, err := in.Write(p)
		if err == kernel.ErrAgain {
			break
		}
		if total += n; err != nil || total > 64<<20 {
			g.Fatalf("Write: %v after %d bytes", err, total)
		}
	}
	g.quiet(in, kernel.Readable|kernel.Writable)
	if err := in.Connected(); err != nil {
		g.Errorf("Connected: %v", err)
	}
	if err := x.Signal(syscall.SIGKILL); err != nil {
		g.Fatal(err)
	}
	g.becomes(in, kernel.Writable)
	if n, err := in.Read(p); n != 0 || err != kernel.ErrAgain {
		g.Errorf("Read with output that waits: %d, %v", n, err)
	}
	_, err := in.Write(p)
	g.isOne("Write", err, kernel.ErrBroken)
	g.exits(x)
}

// spawnGrandchild: what the child has left behind keeps the pipe open, and not the exit (PROC-25).
func spawnGrandchild(g *rig) {
	x := g.spawnAs(kernel.ChildCommand{Args: []string{"sh", "-c", ScriptParent}, Group: true, Files: []kernel.ChildFile{{Number: 1, Kind: kernel.ReadPipe}}})
	defer x.Close()
	g.receive(x.Pipe(1), 1)
	g.becomes(handleOf(x), kernel.Readable)
	g.quiet(x.Pipe(1), kernel.Readable)
	// The exit was not taken yet, so the group has its number still.
	if err := x.SignalGroup(syscall.SIGKILL); err != nil {
		g.Fatal(err)
	}
	g.ends(x.Pipe(1))
	if e := g.exits(x); e.Code != 0 {
		g.Errorf("exit %+v", e)
	}
}

// spawnMany: each child has its own exit, in whatever order they come.
func spawnMany(g *rig) {
	const n = 20
	all := map[uint32]kernel.Child{}
	for i := range n {
		script := ScriptSeven
		if i%2 == 0 {
			script = ScriptSleep
		}
		x := g.spawn(script, nil)
		defer x.Close()
		all[g.arm(handleOf(x), kernel.Readable)] = x
		if i%4 == 0 {
			_ = x.Signal(syscall.SIGINT)
		}
	}
	codes := map[int]int{}
	signals := map[syscall.Signal]int{}
	killed := false
	g.until("all exits", func(e kernel.Event) {
		x := all[e.Token]
		how, gone, err := x.Wait()
		if !gone || err != nil {
			g.Fatalf("Wait: %+v, %v, %v", how, gone, err)
		}
		codes[how.Code]++
		signals[how.Signal]++
		delete(all, e.Token)
		g.arm(handleOf(x), 0)
		if len(all) == n/4 && !killed {
			killed = true
			for _, x := range all {
				if err := x.Signal(syscall.SIGTERM); err != nil {
					g.Error(err)
				}
			}
		}
	}, func() bool { return len(all) == 0 })
	if codes[7] != n/2 || signals[syscall.SIGINT] != n/4 || signals[syscall.SIGTERM] != n/4 {
		g.Errorf("codes %v, signals %v", codes, signals)
	}
}

func handleOf(x kernel.Child) kernel.Handle { return x.(*killed).Child }

// spawnGivenUp: Close before the exit gives the child up, and nobody is told.
func spawnGivenUp(g *rig) {
	x := g.spawn(ScriptCat, pipes())
	in, out := x.Pipe(0), x.Pipe(1)
	g.arm(handleOf(x), kernel.Readable)
	if err := handleOf(x).Close(); err != nil {
		g.Fatal(err)
	}
	g.gone(handleOf(x))
	g.send(in, []byte("still there"))
	if got := g.receive(out, 11); string(got) != "still there" {
		g.Errorf("read %q", got)
	}
	in.Close()
	g.gone(in)
	g.ends(out)
	if e, gone, _ := x.Wait(); gone {
		g.Errorf("Wait after Close: %+v", e)
	}
	g.exactly(g.k.Now() + moment)
}

// spawnMissing: what is not there is an error of the start (PROC-17).
func spawnMissing(g *rig) {
	s := g.spawner()
	_, err := s.Spawn(&kernel.ChildCommand{Path: "/nonexistent/program", Args: []string{"x"}, Files: pipes()})
	g.isOne("Spawn", err, fs.ErrNotExist)
	var se *kernel.SpawnError
	if !errors.As(err, &se) || se.Op != "exec" || se.Name != "/nonexistent/program" {
		g.Errorf("the error is %#v", err)
	}
	if _, err := s.LookPath("no program has this name"); !errors.Is(err, exec.ErrNotFound) {
		g.Errorf("LookPath: %v", err)
	}
	if p, err := s.LookPath(Shell); p != Shell || err != nil {
		g.Errorf("LookPath of a whole path: %q, %v", p, err)
	}
}

// spawnRefused: a value that cannot be is refused before anything is done.
func spawnRefused(g *rig) {
	s := g.spawner()
	ok := kernel.ChildCommand{Path: Shell, Args: []string{"sh", "-c", ScriptTrue}}
	for field, change := range map[string]func(c *kernel.ChildCommand){
		"Path": func(c *kernel.ChildCommand) { c.Path = "a\x00b" },
		"Args": func(c *kernel.ChildCommand) { c.Args = []string{"sh", "x\x00"} },
		"Env":  func(c *kernel.ChildCommand) { c.Env = []string{"A=\x00"} },
		"Dir":  func(c *kernel.ChildCommand) { c.Dir = "\x00" },
	} {
		c := ok
		change(&c)
		_, err := s.Spawn(&c)
		var oe *kernel.OptionError
		if !errors.Is(err, kernel.ErrInvalidOption) || !errors.As(err, &oe) || oe.Op != kernel.OpSpawn || oe.Option != field {
			g.Errorf("a NUL in %s: %v", field, err)
		}
	}
	for _, files := range [][]kernel.ChildFile{
		{{Number: -1, Kind: kernel.ReadPipe}}, {{Number: 1 << 20, Kind: kernel.ReadPipe}}, {{Number: 1}}, {{Number: 1, Kind: 9}},
		{{Number: 1, Kind: kernel.ReadPipe}, {Number: 1, Kind: kernel.NullFile}},
		{{Number: 1, Kind: kernel.SameFile, FD: 2}}, {{Number: 1, Kind: kernel.SameFile, FD: 1}},
	} {
		c := ok
		c.Files = files
		_, err := s.Spawn(&c)
		g.isOne("Spawn with bad files", err, kernel.ErrInvalidOption) // PROC-14
	}
	for _, c := range []kernel.ChildCommand{{Args: ok.Args}, {Path: Shell}, {Path: Shell, Args: ok.Args, Terminal: true}} {
		_, err := s.Spawn(&c)
		g.isOne("Spawn without what it needs", err, kernel.ErrInvalidOption)
	}
}
