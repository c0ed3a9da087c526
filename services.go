package whorl

import (
	"errors"
	"log/slog"

	"github.com/whorl-go/whorl/deferred"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/service"
)

// serviceTree is what Config.Services adds to a server: services that start before its places are open, and stop when its connections have ended. It is for the goroutine of the first
// loop; a nil one has no services.
type serviceTree struct {
	s     *server
	all   *service.Collection
	stops *deferred.Deferred[service.None] // nil: they do not stop
	err   error                            // of their stop

	reloads bool // they reload
	again   bool // and are to do so once more
}

// addServices makes the tree of Config.Services, and has open called when it has started.
func (s *server) addServices(c *Config, open func()) error {
	x := &serviceTree{s: s, all: service.NewCollection(s.r, "server")}
	if err := c.Services(x.all); err != nil {
		return err
	}
	s.tree, s.drain.cut = x, x.hurry
	s.r.CallWhenRunning(func() {
		if s.ending {
			return
		}
		x.all.StartWithin(0).Done(func(_ service.None, err error) {
			switch {
			case err == nil && !s.ending:
				open()
			case err != nil && !(s.ending && errors.Is(err, reactor.ErrCancelled)):
				s.fail(err)
			}
		})
	})
	return nil
}

// reload has the services reload, and then calls done. One that comes during a reload is another one, after it, and has no done of its own.
func (x *serviceTree) reload(done func()) {
	switch {
	case x == nil:
		done()
		return
	case x.reloads:
		x.again = true
		return
	}
	x.reloads = true
	x.all.Reload().Timeout(service.DefaultStartLimit).Done(func(_ service.None, err error) {
		x.reloads = false
		if err != nil {
			x.s.log.Error("not all services have reloaded, and those go on as before", slog.Any("err", err))
		}
		if x.again {
			x.again = false
			x.reload(done)
			return
		}
		done()
	})
}

// reloading tells whether a reload is in progress.
func (x *serviceTree) reloading() bool { return x != nil && x.reloads }

// stop stops the services when no connection is left, and then calls done.
func (x *serviceTree) stop(done func()) {
	if x == nil {
		done()
		return
	}
	end := func() {
		x.stops = x.all.Stop()
		x.stops.Done(func(_ service.None, err error) {
			x.err = err
			done()
		})
		if x.s.hurried {
			x.hurry()
		}
	}
	if x.s.g == nil {
		end()
	} else if !x.s.r.Post(end) { // their loop is lost
		done()
	}
}

// result is why the services have not stopped in order.
func (x *serviceTree) result() error {
	if x == nil {
		return nil
	}
	return x.err
}

// hurry ends what a stop waits for.
func (x *serviceTree) hurry() {
	if x.stops != nil {
		x.stops.Cancel()
	}
}
