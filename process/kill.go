package process

import (
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// kill is a Kill that goes on.
type kill struct {
	timer reactor.DelayedCall
	group bool
	on    bool
	// after the exit of the leader of a group: kill the rest of it if the reactor stops
	atStop *reactor.Trigger
}

// Kill asks the child to end, by SIGTERM, and kills it, by SIGKILL, if it still runs after grace. Zero or less: it is killed at once. Exited and Ended are
// called as ever. Of two calls the earlier end counts. After the exit it is ErrExited.
func (c *Child) Kill(grace time.Duration) error { return c.end(grace, false) }

// KillGroup is Kill for the process group of the child, which needs Command.Session, Group or Terminal; otherwise it is kernel.ErrUnsupported. When the
// child has exited, what is left of the group still has the rest of the grace, on Linux since 6.9; elsewhere it is left alone then.
func (c *Child) KillGroup(grace time.Duration) error { return c.end(grace, true) }

func (c *Child) end(grace time.Duration, group bool) error {
	send := c.Signal
	if group {
		send = c.SignalGroup
	}
	if grace <= 0 {
		return send(syscall.SIGKILL)
	}
	if err := send(syscall.SIGTERM); err != nil {
		return err
	}
	k := &c.kill
	if !k.on {
		k.on = true
		k.timer.Init(c.r, func() { k.now(c) })
	}
	k.group = k.group || group
	if !k.timer.Active() || k.timer.Due()-c.r.Now() > grace { // a sum might overflow
		k.timer.Reset(grace)
	}
	return nil
}

// now is the end of the grace.
func (k *kill) now(c *Child) {
	// An error means that nobody is left.
	if k.group {
		_ = c.k.SignalGroup(syscall.SIGKILL)
	} else {
		_ = c.k.Signal(syscall.SIGKILL)
	}
	k.over(c)
}

// lost kills a child that has been asked to end, or is to end with the reactor, before it is given up.
func (k *kill) lost(c *Child) {
	stopping := c.stop.trigger != nil || c.stop.done != nil
	if k.group && k.timer.Active() || c.stop.group && stopping {
		_ = c.k.SignalGroup(syscall.SIGKILL)
	} else if k.on && k.timer.Active() || stopping {
		_ = c.k.Signal(syscall.SIGKILL)
	}
}

// exited is told of the exit. It gives the child back to the kernel, unless the rest of a group is to be killed.
func (k *kill) exited(c *Child) {
	alone := k.group && c.k.SignalGroup(syscall.Signal(0)) == kernel.ErrExited // the signal 0 only asks
	if !k.group || alone || !k.timer.Active() || c.r.Ending() {
		if k.group && k.timer.Active() {
			_ = c.k.SignalGroup(syscall.SIGKILL)
		}
		k.timer.Cancel()
		_ = c.k.Close()
		return
	}
	k.atStop = c.r.AddTrigger(reactor.Before, reactor.Shutdown, func() {
		k.atStop = nil
		k.timer.Cancel()
		k.now(c)
	})
}

// over gives the child back when the grace is over, if it has exited before.
func (k *kill) over(c *Child) {
	if !c.exited {
		return
	}
	if k.atStop != nil {
		_ = k.atStop.Remove()
	}
	_ = c.k.Close()
}

// stop ends the child when the reactor is stopped.
type stop struct {
	trigger *reactor.Trigger
	done    func() // of the trigger; nil: it has not come, or was answered
	group   bool   // the group of the child ends with it
	first   uint64 // bytes read from the child when it had exited
	seen    uint64 // and a turn ago
	quiet   int    // turns without more
}

// stopWith has the shutdown end the child, and its group too if that is said, if grace is not 0.
func (c *Child) stopWith(grace time.Duration, group bool) {
	if grace == 0 {
		return
	}
	c.stop.group = group
	c.stop.trigger = c.r.AddWaitTrigger(reactor.Shutdown, func(done func()) {
		c.stop.trigger = nil
		c.stop.done = done
		if c.end(grace, group) != nil {
			c.stop.end()
		}
	})
}

// exited lets the shutdown go on when everything that the child has written was delivered.
func (s *stop) exited(c *Child) {
	if s.trigger != nil {
		_ = s.trigger.Remove()
		s.trigger = nil
	}
	if s.done != nil {
		s.first = c.received()
		s.seen = s.first
		s.drain(c)
	}
}

// maxPipe is more than a pipe holds.
const maxPipe = 1 << 20

// drain looks in each turn for more from the pipes, which something that the child has left behind may hold open. The end of all of them ends
// it too.
func (s *stop) drain(c *Child) {
	c.r.Post(func() {
		in := c.received()
		if s.quiet++; in != s.seen {
			s.quiet = 0
		}
		s.seen = in
		if s.quiet == 2 || in-s.first > maxPipe {
			s.end()
		} else if s.done != nil {
			s.drain(c)
		}
	})
}

// received is how many bytes of the child were read.
func (c *Child) received() (n uint64) {
	for _, p := range c.pipes {
		if !p.writes {
			n += p.s.Stats().In
		}
	}
	return n
}

// end lets the shutdown go on at once.
func (s *stop) end() {
	if s.done != nil {
		done := s.done
		s.done = nil
		done()
	}
}
