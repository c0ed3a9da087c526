package worlds

import (
	"fmt"
	"slices"
	"time"

	"github.com/whorl-go/whorl/examples/chat/room"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/sim"
)

// Chat is the room of examples/chat, with three users who connect again whenever they lose
// the connection. All users must get the same lines in the same order. While a user stays,
// no line may be missing, doubled or torn.
func Chat() sim.World {
	return chatWorld("chat", "a chat room and three users: everybody in the room hears the same", func(w *chat) {
		w.srv.Start(func(h *sim.Host) {
			if _, err := h.Reactor.Listen(h.Addr(8008), new(room.Room), nil); err != nil {
				w.fail("starts", "opening the room: %w", err)
			}
		})
	})
}

// WideChat is Chat with a room that is spread over four loops: what is said on one loop is heard on all, in one order. A loop that is
// killed is replaced by a new one, and the users of the others notice nothing but that some have left.
func WideChat() sim.World {
	x := chatWorld("widechat", "a chat room over four loops: everybody on every loop hears the same", func(w *chat) {
		loops := w.srv.Loops(4)
		var rs []*reactor.Reactor
		for _, h := range loops {
			rs = append(rs, h.Reactor)
		}
		g := reactor.GroupOf(reactor.GroupConfig{}, rs...)
		r := room.NewWide(g)
		if _, err := g.Listen(w.srv.Addr(8008), r, nil); err != nil {
			w.fail("starts", "opening the room: %w", err)
		}
		for i, h := range loops {
			h.Start(func(h *sim.Host) {
				if h.Reactor != g.Loop(i) {
					h.Reactor.Sometimes("a loop is lost", true)
					g.Replace(i, h.Reactor)
					r.Lost(i)
				}
			})
		}
	})
	x.Faults = func(o sim.Options) sim.Options { o.Stop, o.Rolling = 0, 0; return o } // a group that was stopped does not run again
	return x
}

func chatWorld(name, about string, serve func(w *chat)) sim.World {
	return sim.World{
		Name:   name,
		About:  about,
		Length: 40 * time.Second,
		Setup: func(n *sim.Net) sim.Checks {
			small(n)
			w := &chat{srv: n.Host("srv"), next: map[string]string{}, said: map[string]bool{}}
			serve(w)
			for _, name := range []string{"ann", "bob", "cid"} {
				u := &user{w: w, name: name}
				w.users = append(w.users, u)
				n.Host(name).Start(u.enter)
			}
			c := sim.Checks{Always: w.err, Sometimes: []sim.Condition{{Name: "a user leaves"}, {Name: "a user loses patience"}}}
			for _, u := range w.users {
				c.Eventually = append(c.Eventually, sim.Condition{Name: u.name + " hears everybody", Holds: func() bool { return w.hears(u) }})
			}
			return c
		},
	}
}

type chat struct {
	verdict
	srv   *sim.Host
	users []*user
	said  map[string]bool   // lines that may be heard
	next  map[string]string // the line that follows a line, for all who hear both
	count int               // messages said
	calm  int               // of these, before the faults ended; 0 while they last
}

type user struct {
	w      *chat
	name   string
	visits int
	now    *visit
}

// visit is one connection of a user. Each has its own name, because the room may not know yet
// that the last connection has ended.
type visit struct {
	receiver.Line
	u      *user
	name   string
	last   string
	heard  map[string]bool
	latest map[string]int // number of the last message of a name
	own    []string       // said and not heard yet
	stop   func()
}

// enter is the program of a user's host.
func (u *user) enter(h *sim.Host) { u.visit(h.Reactor) }

func (u *user) visit(r *reactor.Reactor) {
	u.visits++
	v := &visit{u: u, name: fmt.Sprintf("%s.%d", u.name, u.visits), heard: map[string]bool{}, latest: map[string]int{}}
	u.now = v
	again := func(error) { r.CallLater(500*time.Millisecond, func() { u.visit(r) }) }
	v.Delimiter = "\n"
	v.LineReceived = func(line []byte) { v.hear(string(line)) }
	v.Made = func() {
		u.w.said["* "+v.name+" joined"], u.w.said["* "+v.name+" left"] = true, true
		fmt.Fprintln(v.T, v.name)
		v.stop = r.Every(2*time.Second, v.say).Stop
	}
	v.Lost = func(err error) { v.stop(); again(err) }
	dial(r, u.w.srv.Addr(8008), v, again)
}

// leaveEvery is after how many messages of all users one of them leaves.
const leaveEvery = 20

// leave ends the visit as a slow program does: it stops reading, then says that it sends no more,
// and reads the rest later. The room must send all of that first. If the room has crashed
// meanwhile, nobody tells who sends no more, so the visit has a limit.
func (v *visit) leave() {
	v.stop()
	v.T.Reactor().Sometimes("a user leaves", true)
	v.T.PauseProducing()
	r := v.T.Reactor()
	r.CallLater(5*time.Second, func() { v.T.CloseWrite() })
	r.CallLater(7*time.Second, v.T.ResumeProducing)
	r.CallLater(20*time.Second, v.T.Abort)
}

// impatient is how many of its own messages a user waits for before it connects again.
const impatient = 5

func (v *visit) say() {
	w := v.u.w
	if len(v.own) >= impatient {
		v.T.Reactor().Sometimes("a user loses patience", true)
		v.T.Abort()
		return
	}
	w.count++
	if w.count%leaveEvery == 0 {
		v.leave()
		return
	}
	text := fmt.Sprintf("%d is my number, I am %s", w.count, v.name)
	line := v.name + ": " + text
	w.said[line] = true
	v.own = append(v.own, line)
	fmt.Fprintln(v.T, text)
}

// hear checks that a line was said, and that everybody else got it at the same place.
func (v *visit) hear(line string) {
	w := v.u.w
	switch {
	case !w.said[line]:
		w.fail("nothing made up", "%s heard %q, which nobody said", v.name, line)
	case v.heard[line]:
		w.fail("once", "%s heard %q twice", v.name, line)
	case v.last == "" && line != "* "+v.name+" joined":
		w.fail("joined first", "%s heard %q before it was in the room", v.name, line)
	case v.last != "" && w.next[v.last] == "":
		w.next[v.last] = line
	case v.last != "" && w.next[v.last] != line:
		w.fail("one order", "%s heard %q after %q, where another heard %q", v.name, line, v.last, w.next[v.last])
	}
	v.heard[line], v.last = true, line
	var name string
	var number int
	if _, err := fmt.Sscanf(line, "%s %d", &name, &number); err != nil {
		return // somebody joined or left
	}
	v.latest[name] = number
	if name == v.name+":" {
		if len(v.own) == 0 || v.own[0] != line {
			w.fail("own lines in order", "%s heard %q of itself, and waited for %q", v.name, line, v.own)
		}
		v.own = slices.Delete(v.own, 0, min(1, len(v.own)))
	}
}

// hears tells whether u has got, from every user, a line that was said after the faults
// ended.
func (w *chat) hears(u *user) bool {
	if w.calm == 0 {
		w.calm = w.count + 1
	}
	for _, v := range w.users {
		if u.now.latest[v.now.name+":"] <= w.calm {
			return false
		}
	}
	return true
}
