package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

type upgradeCommand struct {
	Path    string        `arg:"" help:"The UNIX socket of the running server, its --handover."`
	Command []string      `arg:"" passthrough:"" help:"The successor, with its arguments, behind -- or not. It must have the same --handover."`
	Timeout time.Duration `default:"1m" placeholder:"DURATION" help:"How long the successor may take until it serves (${default})."`
	Drained bool          `help:"Wait until the old server has drained, too."`
}

// Help is shown by --help.
func (*upgradeCommand) Help() string {
	return `COMMAND is started, and takes the sockets of the server that runs with --handover PATH. When it serves, that server
accepts no more, drains and ends, and upgrade ends with status 0. COMMAND goes on. If COMMAND ends or gives up before it
serves, or takes too long, it is ended, the old server serves on as before, and the status is 1. What has become of each socket is
printed; if it cannot be, the replacement goes on, and its status is the same. SIGINT, SIGTERM and SIGHUP end upgrade, and COMMAND with it
if that does not serve yet.

Example, of which the first line was the start of the server:

    whorl echo --handover /run/echo.handover tcp:8007 &
    whorl upgrade /run/echo.handover whorl echo --handover /run/echo.handover tcp:8007 tcp:8008`
}

// Run replaces the server.
func (c *upgradeCommand) Run(g *globals, t terminal) error {
	var err error
	if c.Command, err = behindDashes("upgrade", c.Command); err != nil {
		return err
	}
	if len(c.Command) == 0 {
		return usage(errors.New("a program is missing: whorl upgrade PATH -- COMMAND"))
	}
	if c.Timeout <= 0 {
		return usage(fmt.Errorf("--timeout=%v: must be more than 0", c.Timeout))
	}
	k, err := native.Open(g.Kernel)
	if err != nil {
		return err
	}
	outliveReaders() // otherwise a successor would be left without anybody who ends it after --timeout
	log, engine := g.logger(t)
	u := &upgrade{c: c, t: t, log: log, r: reactor.New(k, reactor.Config{Logger: engine})}
	u.endedBy = stopBySignal(u.r)
	u.r.CallWhenRunning(u.begin)
	if err := u.r.Run(context.Background()); err != nil {
		return err
	}
	u.end(nil) // if only a signal has ended it
	return u.err
}

// upgrade is one replacement.
type upgrade struct {
	c      *upgradeCommand
	t      terminal
	log    *slog.Logger
	r      *reactor.Reactor
	watch  *handover.Watching
	child  *os.Process // nil: not started
	ended  bool        // it has
	whose  ownership   // of the successor that is taking the sockets
	old    int         // the process that is replaced
	serves bool        // the successor does
	over   bool        // end was called
	why    string      // it has given up
	err    error
	silent bool // standard output cannot be written

	endedBy func() os.Signal // the signal that has ended upgrade, or nil
}

// lastMoment is how long a successor that has given up may take to end by itself.
const lastMoment = 5 * time.Second

func (u *upgrade) begin() {
	u.watch = handover.Watch(u.r, u.c.Path, handover.WatchConfig{Event: u.event, Done: func(err error) {
		if err != nil {
			u.end(err)
		}
	}})
	u.r.CallLater(u.c.Timeout, func() {
		if !u.serves {
			u.end(fmt.Errorf("the successor does not serve after %v", u.c.Timeout))
		}
	})
}

// ownership says who has started a successor.
type ownership uint8

const (
	unknown ownership = iota
	ours
	foreign
)

// end ends the command. A successor that does not serve is ended.
func (u *upgrade) end(err error) {
	if u.over {
		return
	}
	u.over = true
	if u.serves && !u.c.Drained {
		err = nil
	}
	if sig := u.endedBy(); sig != nil {
		err = signalled{sig} // what err says followed from it
	}
	if u.err = err; err != nil && !u.serves && u.child != nil && !u.ended {
		_ = u.child.Kill()
	}
	_ = u.r.Stop() // a signal may have stopped it
}

// say prints a line. The status is that of the replacement, whether it can be printed or not.
func (u *upgrade) say(format string, args ...any) {
	if u.silent {
		return
	}
	_, err := fmt.Fprintf(u.t.out, format+"\n", args...)
	if u.silent = err != nil; err != nil && !errors.Is(err, syscall.EPIPE) {
		u.log.Error("standard output cannot be written, and the replacement goes on", slog.Any("err", bare(err)))
	}
}

// event prints what has happened. Of a successor that somebody else has started, only that it serves matters here.
func (u *upgrade) event(e handover.Event) {
	switch e.Kind {
	case handover.Watches:
		u.old = e.Process
		u.say("process %d offers its sockets", e.Process)
		u.start()
		return
	case handover.Comes:
		u.whose = unknown
		return
	}
	if u.owner(e.Process) == ours {
		u.progress(e)
	} else if e.Kind == handover.Serves {
		u.end(fmt.Errorf("process %d, which was started by somebody else, has replaced process %d", e.Process, u.old))
	}
}

// owner finds out who has started the successor. A command may start it as a process of its own, as a shell does.
func (u *upgrade) owner(process int) ownership {
	if u.whose == unknown && u.child != nil {
		u.whose = foreign
		if process == 0 || descends(process, u.child.Pid) {
			u.whose = ours
		}
	}
	return u.whose
}

// progress prints what the command's successor has done.
func (u *upgrade) progress(e handover.Event) {
	switch e.Kind {
	case handover.Takes:
		u.say("taken: %v", e.Socket)
	case handover.Ignores:
		u.say("not taken: %v", e.Socket)
	case handover.Serves:
		u.serves = true
		u.say("the successor serves, and process %d accepts no more", u.old)
	case handover.GivesUp:
		u.why = e.Text
		if u.r.CallLater(lastMoment, func() { u.end(errors.New(e.Text)) }); u.ended {
			u.end(errors.New(e.Text))
		}
	case handover.Moves:
		u.say("connections moved: %d, left with process %d: %d", e.Connections, u.old, e.Left)
		if !u.c.Drained {
			u.end(nil)
		}
	case handover.Drains:
		u.say("process %d has drained", u.old)
		u.end(nil)
	}
}

// start starts the successor. The loop has nothing else to do meanwhile.
func (u *upgrade) start() {
	c := exec.Command(u.c.Command[0], u.c.Command[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), u.t.manager.Environ()...) // it will be the service
	if err := c.Start(); err != nil {
		u.end(err)
		return
	}
	u.child = c.Process
	u.say("started process %d", u.child.Pid)
	go func() {
		err := c.Wait()
		u.r.Post(func() {
			switch u.ended = true; {
			case u.serves:
			case u.why != "":
				u.end(errors.New(u.why))
			default:
				u.end(fmt.Errorf("the successor has ended before it served: %v", exitText(err)))
			}
		})
	}()
}

// descends tells whether a process is ancestor, or was started by it, or by one that it has started, and so on. Where the system
// has no /proc it returns true.
func descends(process, ancestor int) bool {
	for range 64 {
		if process == ancestor {
			return true
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
		if err != nil {
			_, err := os.Stat("/proc/self/stat")
			return err != nil
		}
		// The name of the program, in parentheses, may hold anything. Behind it are the state and the parent.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 {
			return false
		}
		process, _ = strconv.Atoi(fields[1])
	}
	return false
}

// exitText says how a process has ended.
func exitText(err error) string {
	if err == nil {
		return "status 0"
	}
	return err.Error()
}
