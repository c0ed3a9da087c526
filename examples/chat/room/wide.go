package room

import (
	"container/list"
	"fmt"
	"io"
	"maps"
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
	// Quiet has nobody told who joins and leaves. In a crowd each arrival would otherwise be a line for everybody. It must not change
	// while somebody is connected.
	Quiet bool

	g *reactor.Group

	mu    sync.Mutex
	names map[string]int // the loop of each
	parts []*part
}

// part is what one loop has. It is another one after the loop was lost. users is a list, not a map, so that the order in which they get a
// line is always the same; and not a slice, because many leave.
type part struct{ users list.List }

type guest struct {
	receiver.Line
	w    *Wide
	name string
	at   *list.Element // in users; nil: it is not there yet
	gone bool
}

// NewWide makes an empty room on g.
func NewWide(g *reactor.Group) *Wide {
	w := &Wide{g: g, names: make(map[string]int)}
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
		u.w.say(fmt.Appendf(nil, "%s: %s\n", u.name, line))
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
	if _, taken := w.names[name]; taken {
		return false
	}
	u.name, w.names[name] = name, loop
	p := w.parts[loop]
	w.g.PostTo(loop, func(*reactor.Reactor) {
		if !u.gone {
			u.at = p.users.PushBack(u)
		}
	})
	w.moves("joined", name)
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
	if u.at != nil {
		p.users.Remove(u.at)
	}
	w.left(u.name)
}

// left frees a name. The caller has the lock.
func (w *Wide) left(name string) {
	delete(w.names, name)
	w.moves("left", name)
}

// moves says that a user has joined or left. The caller has the lock.
func (w *Wide) moves(how, name string) {
	if !w.Quiet {
		w.say(fmt.Appendf(nil, "* %s %s\n", name, how))
	}
}

// say has every user get line. The caller has the lock, so that two lines come to all loops in one order.
func (w *Wide) say(line []byte) {
	for i, p := range w.parts {
		w.g.PostTo(i, func(*reactor.Reactor) {
			for e := p.users.Front(); e != nil; e = e.Next() {
				e.Value.(*guest).T.Write(line)
			}
		})
	}
}

// Len is how many users are in the room. It may be called from any goroutine.
func (w *Wide) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.names)
}

// Lost forgets the users of a loop that is lost. GroupConfig.Lost calls it.
func (w *Wide) Lost(loop int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parts[loop] = new(part)
	for _, name := range slices.Sorted(maps.Keys(w.names)) {
		if w.names[name] == loop {
			w.left(name)
		}
	}
}
