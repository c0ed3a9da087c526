//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package process

import (
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/whorl-go/whorl/internal/terminal"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"golang.org/x/sys/unix"
)

// console is the terminal of a standardConn. Signals come on a goroutine of their own, so that the terminal is restored also
// when the loop is stuck. A mode that is changed while other programs are in the foreground is theirs: then nothing is set.
type console struct {
	fd      int
	r       *reactor.Reactor
	resized func(Size)
	over    bool // the transport has ended

	mu    sync.Mutex // for what follows, which several goroutines use
	end   func()     // gives the signals back; nil: none are taken
	saved terminal.Mode
	raw   terminal.Mode
	keep  bool // the mode is to be raw whenever the program runs
	set   bool // it is raw
}

// start sets the mode and takes the signals.
func (c *console) start(r *reactor.Reactor, cfg *StdioConfig) error {
	c.r, c.resized = r, cfg.Resized
	var take []os.Signal
	if c.resized != nil {
		take = append(take, syscall.SIGWINCH)
	}
	if cfg.Raw {
		if err := c.enter(); err != nil {
			return err
		}
		take = append(append(take, syscall.SIGTSTP, syscall.SIGCONT), endingSignals(cfg.Signals)...)
		take = slices.DeleteFunc(take, signal.Ignored)
	}
	if n, ok := kernel.As[kernel.Signals](r.Kernel()); ok && len(take) > 0 {
		c.mu.Lock()
		c.end = n.Notify(c.notice, take...)
		c.mu.Unlock()
	}
	return nil
}

// endingSignals are those at which the terminal is restored, because the program ends.
func endingSignals(configured []os.Signal) []os.Signal {
	if configured != nil {
		return configured
	}
	return []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM}
}

// giveBack gives the signals back.
func (c *console) giveBack() {
	c.mu.Lock()
	end := c.end
	c.mu.Unlock()
	if end != nil {
		end() // it waits for notice
	}
}

// stop is called at the end of the transport.
func (c *console) stop() {
	c.over = true
	c.giveBack()
}

// enter saves the mode and makes it raw. In the background the system stops the program before that.
func (c *console) enter() (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.saved, err = terminal.ModeOf(c.fd); err != nil {
		return systemError(err)
	}
	c.raw = c.saved.Raw()
	if err := c.raw.Set(c.fd); err != nil {
		return systemError(err)
	}
	c.keep, c.set = true, true
	return nil
}

// restore sets the saved mode, for good or until again.
func (c *console) restore(forGood bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if forGood {
		c.keep = false
	}
	if c.set && !terminal.InBackground(c.fd) {
		_ = c.saved.Set(c.fd) // the terminal may have gone
	}
	c.set = false
}

// again makes the mode raw again.
func (c *console) again() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keep && !terminal.InBackground(c.fd) {
		c.set = c.raw.Set(c.fd) == nil
	}
}

func (c *console) size() (Size, error) {
	s, err := terminal.SizeOf(c.fd)
	return sizeFrom(s), systemError(err)
}

// notice is called for each signal, on a goroutine of the kernel.
func (c *console) notice(s os.Signal) {
	switch {
	case s == syscall.SIGWINCH:
		c.r.Post(c.tell)
	case s == syscall.SIGTSTP:
		c.restore(false)
		// SIGTSTP has no default action while it is taken.
		_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
	case s == syscall.SIGCONT:
		c.again()
		c.r.Post(c.tell)
	default:
		c.restore(true)
		if slices.Contains(c.r.Signals(), s) && c.r.Running() {
			return // the reactor gets it too, and ends, unless its loop is stuck
		}
		// This goroutine cannot wait for its own end, which the default action has to.
		go c.raise(s.(syscall.Signal))
	}
}

// raise gives the signals back and sends s again.
func (c *console) raise(s syscall.Signal) {
	c.giveBack()
	_ = unix.Kill(unix.Getpid(), s)
}

// tell calls Resized.
func (c *console) tell() {
	if s, err := c.size(); err == nil && c.resized != nil && !c.over {
		c.resized(s)
	}
}
