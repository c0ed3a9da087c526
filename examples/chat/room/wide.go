package room

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// Wide is a Room on all loops of a group. Each loop has its part of the users, which only code of that loop touches. What is said
// is posted to all loops under one lock. So all loops hear it in one order, because each calls what is posted in the order of
// posting. The names are under the lock too.
type Wide struct {
	g *reactor.Group

	mu    sync.Mutex
	names []named
	parts []*part
}

type named struct {
	name string
	loop int
}

// part is what one loop has. It is another one after the loop was lost.
type part struct{ users []*guest }

type guest struct {
	receiver.Line
	w    *Wide
	name string
	gone bool
}

// NewWide makes an empty room on g.
func NewWide(g *reactor.Group) *Wide {
	w := &Wide{g: g}
	for range g.Len() {
		w.parts = append(w.parts, new(part))
	}
	return w
}

// AnyLoop is true: that is what a Wide is for.
func (w *Wide) AnyLoop() bool { return true }

// BuildProtocol makes a user. The user enters the room with its first line, the name.
func (w *Wide) BuildProtocol(kernel.Addr) reactor.Protocol {
	u := &guest{w: w}
	u.Delimiter = "\n"
	u.LineReceived = func(line []byte) { u.line(string(line)) }
	u.Lost = func(error) { u.leave() }
	return u
}

func (u *guest) line(line string) {
	if u.name != "" {
		u.w.mu.Lock()
		defer u.w.mu.Unlock()
		u.w.say(fmt.Sprintf("%s: %s\n", u.name, line))
		return
	}
	name := strings.TrimSpace(line)
	if name == "" {
		io.WriteString(u.T, "! a name must not be empty\n")
	} else if !u.enter(name) {
		fmt.Fprintf(u.T, "! %s is taken\n", name)
	}
}

// enter takes the name. The user hears everything from its own joining on, because its loop lets it in with that line.
func (u *guest) enter(name string) bool {
	w, loop := u.w, u.T.Reactor().Index()
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.ContainsFunc(w.names, func(x named) bool { return x.name == name }) {
		return false
	}
	u.name = name
	w.names = append(w.names, named{name, loop})
	p := w.parts[loop]
	w.g.PostTo(loop, func(*reactor.Reactor) {
		if !u.gone {
			p.users = append(p.users, u)
		}
	})
	w.say(fmt.Sprintf("* %s joined\n", name))
	return true
}

func (u *guest) leave() {
	u.gone = true
	if u.name == "" {
		return
	}
	w := u.w
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.parts[u.T.Reactor().Index()]
	if i := slices.Index(p.users, u); i >= 0 {
		p.users = slices.Delete(p.users, i, i+1)
	}
	w.left(u.name)
}

// left frees a name. The caller has the lock.
func (w *Wide) left(name string) {
	w.names = slices.DeleteFunc(w.names, func(x named) bool { return x.name == name })
	w.say(fmt.Sprintf("* %s left\n", name))
}

// say has every user get line. The caller has the lock, so that two lines come to all loops in one order.
func (w *Wide) say(line string) {
	for i, p := range w.parts {
		w.g.PostTo(i, func(*reactor.Reactor) {
			for _, u := range p.users {
				io.WriteString(u.T, line)
			}
		})
	}
}

// Lost forgets the users of a loop that is lost. GroupConfig.Lost calls it.
func (w *Wide) Lost(loop int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parts[loop] = new(part)
	for _, x := range slices.Clone(w.names) {
		if x.loop == loop {
			w.left(x.name)
		}
	}
}
