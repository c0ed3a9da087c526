package testworld

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// ShellPath is the program that Shell registers.
const ShellPath = "/bin/sh"

// Shell registers a shell with n, at ShellPath, for tests whose children are scripts. It is called as "sh -c SCRIPT sh ARGUMENTS". Commands
// are separated by ";" or "&"; those in parentheses are one. It knows cat, echo, exec, exit, read, sleep, trap ” SIGNAL, wc -c and yes, redirection to and from descriptors ("<&3", ">&2",
// "<&-"), and $1 to $9. A while and a wait last until a signal comes.
func Shell(n *sim.Net) { n.Program(ShellPath, func(p *sim.Program) { newShell(p).step() }) }

// shell runs one script.
type shell struct {
	p       *sim.Program
	r       *reactor.Reactor
	script  []shellCommand
	streams map[int]*shellStream
	status  int
}

// shellCommand is one command of a script.
type shellCommand struct {
	words      []string
	input, out int // descriptors
	closes     []int
	background string // what is to run so, if that is the command
}

// shellStream is a descriptor of a shell, attached.
type shellStream struct {
	s    *reactor.Stream
	data func(p []byte)
	lost func()
	over bool
	kept []byte
}

func (x *shellStream) ConnectionMade(reactor.Transport) {}
func (x *shellStream) DataReceived(p []byte) {
	if x.data == nil {
		x.kept = append(x.kept, p...)
		return
	}
	x.data(p)
}

func (x *shellStream) ConnectionLost(error) {
	x.over = true
	if lost := x.lost; lost != nil {
		x.lost = nil
		lost()
	}
}

func newShell(p *sim.Program) *shell {
	s := &shell{p: p, r: p.Reactor(), streams: map[int]*shellStream{}}
	args := append(p.Args, "", "", "")
	text := args[2]
	for i, a := range args[min(3, len(p.Args)):] {
		if i > 0 {
			text = strings.ReplaceAll(text, "$"+strconv.Itoa(i), a)
		}
	}
	for text != "" {
		var part string
		var background bool
		part, background, text = cutCommand(text)
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		c := shellCommand{background: part}
		if !background {
			c = parseCommand(part)
		}
		s.script = append(s.script, c)
	}
	return s
}

// cutCommand cuts the first command from a script.
func cutCommand(text string) (part string, background bool, rest string) {
	depth := 0
	for i, c := range text {
		loops := strings.Count(text[:i], "while") > strings.Count(text[:i], "done")
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case depth > 0 || loops:
		case c == ';':
			return text[:i], false, text[i+1:]
		case c == '&' && i > 0 && text[i-1] != '>' && text[i-1] != '<':
			return text[:i], true, text[i+1:]
		}
	}
	return text, false, ""
}

func parseCommand(part string) shellCommand {
	c := shellCommand{out: 1}
	for _, w := range strings.Fields(part) {
		at := strings.IndexAny(w, "<>")
		switch {
		case at < 0:
			c.words = append(c.words, w)
		case strings.HasSuffix(w, "&-"):
			fd := 0
			if w[at] == '>' {
				fd = 1
			}
			if at > 0 {
				fd, _ = strconv.Atoi(w[:at])
			}
			c.closes = append(c.closes, fd)
		case w[at] == '<':
			c.input, _ = strconv.Atoi(w[at+2:])
		default:
			c.out, _ = strconv.Atoi(w[at+2:])
		}
	}
	return c
}

// stream is the descriptor fd, nil if the shell has none.
func (s *shell) stream(fd int) *shellStream {
	if x := s.streams[fd]; x != nil {
		return x
	}
	x := new(shellStream)
	var err error
	if x.s, err = s.p.Attach(fd, x); err != nil {
		return nil
	}
	s.streams[fd] = x
	return x
}

// step runs the next command.
func (s *shell) step() {
	if len(s.script) == 0 {
		s.exit()
		return
	}
	c := s.script[0]
	s.script = s.script[1:]
	if c.background != "" {
		s.fork(c.background)
		s.step()
		return
	}
	if c.words[0] == "exec" {
		c.words = c.words[1:]
		if len(c.words) == 0 {
			s.close(c.closes)
			s.step()
			return
		}
	}
	s.do(c)
}

func (s *shell) do(c shellCommand) {
	switch c.words[0] {
	case "exit":
		s.status, _ = strconv.Atoi(c.words[1])
		s.exit()
	case "echo":
		s.print(c.out, strings.Join(c.words[1:], " ")+"\n")
	case "printf":
		s.print(c.out, c.words[1])
	case "kill": // itself
		s.p.Host().Signal(signalOf(strings.TrimPrefix(c.words[1], "-")))
		s.step()
	case "cat":
		s.copy(s.stream(c.input), s.stream(c.out))
	case "wc":
		total := 0
		s.all(s.stream(c.input), func(p []byte) { total += len(p) }, func() { s.print(c.out, strconv.Itoa(total)+"\n") })
	case "read":
		s.readLine(s.stream(c.input))
	case "sleep":
		d, _ := time.ParseDuration(c.words[1] + "s")
		s.r.CallLater(d, s.step)
	case "trap":
		s.p.Handle(signalOf(c.words[2]), nil)
		s.step()
	case "yes":
		s.yes(s.stream(c.out))
	case "while", "wait":
	default:
		s.status = 127
		s.print(2, "sh: "+c.words[0]+": not found\n")
	}
}

// signalOf is a signal by its name.
func signalOf(name string) os.Signal {
	switch name {
	case "TERM":
		return syscall.SIGTERM
	case "INT":
		return syscall.SIGINT
	case "HUP":
		return syscall.SIGHUP
	}
	return syscall.SIGKILL
}

// close closes descriptors.
func (s *shell) close(fds []int) {
	for _, fd := range fds {
		if x := s.streams[fd]; x != nil {
			_ = x.s.Close()
		}
		s.p.CloseFile(fd)
	}
}

// print writes text, and goes on when the pipe has it.
func (s *shell) print(fd int, text string) {
	x := s.stream(fd)
	if x != nil && !x.over {
		_, _ = x.s.Write([]byte(text))
	}
	s.flushed(x, s.step)
}

// pollGap is how often a shell looks whether a pipe has taken what was written.
const pollGap = 50 * time.Microsecond

func (s *shell) flushed(x *shellStream, then func()) {
	if x == nil || x.over || x.s.Buffered() == 0 {
		then()
		return
	}
	s.r.CallLater(pollGap, func() { s.flushed(x, then) })
}

// all gives data what x reads, and calls then at the end.
func (s *shell) all(x *shellStream, data func(p []byte), then func()) {
	if x == nil || x.over {
		then()
		return
	}
	x.data, x.lost = data, then
	if kept := x.kept; len(kept) > 0 {
		x.kept = nil
		data(kept)
	}
}

func (s *shell) copy(from, to *shellStream) {
	if to == nil {
		s.all(from, func([]byte) {}, s.step)
		return
	}
	if from != nil && !from.over && !to.over {
		_ = to.s.RegisterProducer(from.s)
	}
	s.all(from, func(p []byte) { _, _ = to.s.Write(p) }, func() {
		to.s.UnregisterProducer()
		s.flushed(to, s.step)
	})
}

// readLine reads until the end of a line.
func (s *shell) readLine(x *shellStream) {
	done := false
	s.all(x, func(p []byte) {
		if at := bytes.IndexByte(p, '\n'); at >= 0 && !done {
			done = true
			x.data, x.lost = nil, nil
			x.kept = append(x.kept, p[at+1:]...)
			s.step()
		}
	}, s.step)
}

// yes writes until nobody reads, and then dies of SIGPIPE.
func (s *shell) yes(x *shellStream) {
	if x == nil {
		s.step()
		return
	}
	x.lost = func() { s.p.Host().Signal(syscall.Signal(13)) }
	line := bytes.Repeat([]byte("y\n"), 2000)
	var more func()
	more = func() {
		if x.over {
			return
		}
		_, _ = x.s.Write(line)
		s.flushed(x, func() { s.r.CallLater(pollGap, more) })
	}
	more()
}

// fork runs a script in the background, with the descriptors of the shell.
func (s *shell) fork(script string) {
	k := s.p.Host().Kernel
	spawner, _ := kernel.As[kernel.Spawner](k)
	numbers, _ := kernel.As[kernel.Descriptors](k)
	script = strings.TrimSuffix(strings.TrimPrefix(script, "("), ")")
	c := &kernel.ChildCommand{Path: ShellPath, Args: []string{"sh", "-c", script}}
	for fd := range 10 {
		given := fd
		if x := s.streams[fd]; x != nil {
			continue // it is in use by the shell itself
		}
		if copied, err := numbers.Duplicate(fd); err == nil {
			_ = numbers.CloseDescriptor(copied)
			c.Files = append(c.Files, kernel.ChildFile{Number: fd, Kind: kernel.GivenFile, FD: given})
		}
	}
	if x, err := spawner.Spawn(c); err == nil {
		_ = x.Close() // nobody waits for it
	}
}

// exit ends the shell when everything is written.
func (s *shell) exit() {
	for fd := range 10 {
		if x := s.streams[fd]; x != nil && !x.over && x.s.Buffered() > 0 {
			s.r.CallLater(pollGap, s.exit)
			return
		}
	}
	s.p.Exit(s.status)
}
