package deferred

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/pool"
	"github.com/whorl-go/whorl/reactor"
)

// unheard has the failures of a reactor that nobody had heard when they came. The next turn of the loop logs those that nobody has heard by then
// (DEF-13). Go has no moment at which an object is known to be garbage, and this one is the same in each run of a seed.
type unheard struct {
	r     *reactor.Reactor
	nodes []node
	limit reactor.LogLimit
}

// noteUnheard is called when n has failed and has no step. If made is 0, the caller outside of this package is where the failure was made.
func noteUnheard(r *reactor.Reactor, n node, made *uintptr) {
	if *made == 0 {
		*made = outside()
	}
	u := reactor.Shared(r, func() *unheard { return &unheard{r: r} })
	u.nodes = append(u.nodes, n)
	if len(u.nodes) == 1 && !r.Post(u.report) {
		// There is no next turn. That what is begun after the end fails is no news, and whoever has begun it is about to hear.
		if _, err := n.unheard(); errors.Is(err, reactor.ErrStopped) || errors.Is(err, pool.ErrStopped) {
			u.nodes = nil
		}
		u.report()
	}
}

func (u *unheard) report() {
	nodes := u.nodes
	u.nodes = nil
	for _, n := range nodes {
		made, err := n.unheard()
		if err == nil || cancelled(err) { // giving up is no news to who did it
			continue
		}
		u.limit.Log(u.r, u.r.Logger(), slog.LevelError, "a failure that nobody has handled",
			slog.Any("err", err), slog.String("made", place(made)))
	}
}

// cancelled tells whether err is ErrCancelled and nothing else: of several errors, each one must be.
func cancelled(err error) bool {
	if several, ok := err.(interface{ Unwrap() []error }); ok && err != reactor.ErrCancelled {
		all := several.Unwrap()
		return len(all) > 0 && !slices.ContainsFunc(all, func(e error) bool { return !cancelled(e) })
	}
	return err == reactor.ErrCancelled || err != nil && cancelled(errors.Unwrap(err))
}

func (d *Deferred[T]) unheard() (uintptr, error) {
	if d.heard {
		return 0, nil
	}
	return d.made, d.err
}

// caller returns where the caller of a function of this package called it. skip is how many functions of this package lie between.
func caller(skip int) uintptr {
	var pcs [1]uintptr
	runtime.Callers(3+skip, pcs[:])
	return pcs[0]
}

// outside returns where the nearest caller outside of this package, the reactor and the pool called.
func outside() uintptr {
	var pcs [64]uintptr
	n := runtime.Callers(2, pcs[:])
	for i, pc := range pcs[:n] {
		frames := runtime.CallersFrames(pcs[i : i+1])
		if f, _ := frames.Next(); !inner(f.Function) {
			return pc
		}
	}
	return 0
}

// inner tells whether the function belongs to a package that calls on behalf of others.
func inner(function string) bool {
	for _, p := range [...]string{"deferred.", "reactor.", "pool."} {
		if strings.HasPrefix(function, "github.com/whorl-go/whorl/"+p) {
			return true
		}
	}
	return strings.HasPrefix(function, "runtime.")
}

// place is a program counter as text.
func place(pc uintptr) string {
	frames := runtime.CallersFrames([]uintptr{pc})
	f, _ := frames.Next()
	if f.File == "" {
		return "unknown"
	}
	return fmt.Sprintf("%s:%d", f.File, f.Line)
}
