package testworld

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/whorl-go/whorl/reactor"
)

// verb is one command of the language. parse takes its arguments. It returns the name
// that the command applies to, and a function that runs it.
type verb struct {
	name, usage string
	where       position
	parse       func(*parser) (who string, run func(*play, *end) error)
}

// position says where in a script a command is allowed.
type position uint8

const (
	anywhere    position = iota
	onlyOutside          // not in a callback: it turns the loop or declares a name
	onlyInside           // only in a callback
)

// verbs lists all commands.
func verbs() []verb {
	return []verb{
		{"listen", "NAME [half] [echo] [refuse] [high=N] [low=N] [max=N]", onlyOutside, parseListen},
		{"dial", "NAME[*N] PORT|refused|silent|unknown [half] [echo] [refuse] [high=N] [low=N] [max=N] [timeout=TIME]", onlyOutside, parseDial},
		{"write", "NAME BYTES", anywhere, parseWrite},
		{"writev", "NAME BYTES BYTES...", anywhere, parseWritev},
		{"closewrite", "NAME", anywhere, onTransport(func(t reactor.HalfCloser) { t.CloseWrite() })},
		{"close", "NAME", anywhere, onTransport(func(t reactor.Transport) { t.Close() })},
		{"abort", "NAME", anywhere, onTransport(reactor.Transport.Abort)},
		{"pause", "NAME", anywhere, onTransport(reactor.Producer.PauseProducing)},
		{"resume", "NAME", anywhere, onTransport(reactor.Producer.ResumeProducing)},
		{"producer", "NAME push|pull TOTAL PIECE, or: producer NAME idle", anywhere, parseProducer},
		{"unregister", "NAME", anywhere, onTransport(reactor.Consumer.UnregisterProducer)},
		{"cancel", "DIAL|TIMER", anywhere, parseCancel},
		{"disconnect", "DIAL", anywhere, parseDisconnect},
		{"stop", "PORT", anywhere, parseStop},
		{"on", "NAME EVENT COMMAND", anywhere, parseOn},
		{"post", "COMMAND", anywhere, parsePost},
		{"timer", "NAME TIME COMMAND", onlyOutside, parseTimer},
		{"reset", "TIMER TIME", anywhere, parseReset},
		{"say", "TEXT", anywhere, parseSay},
		{"mark", "NAME TEXT", anywhere, parseMark},
		{"panic", "TEXT", onlyInside, parsePanic},
		{"wait", "NAME EVENT [COUNT]", onlyOutside, parseWait},
		{"turn", "N", onlyOutside, parseTurn},
		{"hide", "NAME data|reason|producing|everything", anywhere, parseHide},
	}
}

func verbNames() (names []string) {
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	return names
}

func parseListen(p *parser) (string, func(*play, *end) error) {
	name := p.declare(kindPort)
	o := p.options("half", "echo", "refuse", "high", "low", "max")
	return name, func(p *play, _ *end) error {
		g := p.group(name)
		g.opts = o
		return g.listen()
	}
}

func parseDial(p *parser) (string, func(*play, *end) error) {
	count := 1
	if p.more() && !p.words[0].quoted {
		if name, n, many := strings.Cut(p.words[0].text, "*"); many {
			p.words[0].text = n
			count = p.number(1, maxCount)
			p.words = append([]word{{text: name}}, p.words...)
		}
	}
	name := p.declare(kindDial)
	where := ""
	if p.more() && isSpecialTarget(p.words[0]) {
		where = p.choice(specialTargets()...)
	} else {
		where = p.name(kindPort)
	}
	o := p.options("half", "echo", "refuse", "high", "low", "max", "timeout")
	return name, func(p *play, _ *end) error {
		g := p.group(name)
		g.opts = o
		for range count {
			if err := g.dial(where); err != nil {
				return err
			}
		}
		return nil
	}
}

func isSpecialTarget(w word) bool {
	for _, x := range specialTargets() {
		if !w.quoted && w.text == x {
			return true
		}
	}
	return false
}

// onTransport returns the parse function of a command that calls one method of a transport.
func onTransport[T any](call func(T)) func(*parser) (string, func(*play, *end) error) {
	return func(p *parser) (string, func(*play, *end) error) {
		name := p.name(kindDial, kindPort)
		return name, func(p *play, self *end) error {
			return p.group(name).connected(self, func(e *end) error {
				t, err := ability[T](e.t)
				if err == nil {
					call(t)
				}
				return err
			})
		}
	}
}

// ability is what t, or what it leads to, can do besides.
func ability[T any](t reactor.Transport) (T, error) {
	v, ok := reactor.As[T](t)
	if !ok {
		return v, fmt.Errorf("%T is no %v", t, reflect.TypeFor[T]())
	}
	return v, nil
}

func parseWrite(p *parser) (string, func(*play, *end) error) {
	name, b := p.name(kindDial, kindPort), p.payload()
	return name, func(p *play, self *end) error {
		return p.group(name).connected(self, func(e *end) error {
			e.try("write", func() error { return counted(b.size())(e.t.Write(e.bytes(b))) })
			return nil
		})
	}
}

func parseWritev(p *parser) (string, func(*play, *end) error) {
	name := p.name(kindDial, kindPort)
	list, size := []payload{p.payload()}, 0
	for p.more() {
		list = append(list, p.payload())
	}
	for _, b := range list {
		size += b.size()
	}
	return name, func(p *play, self *end) error {
		return p.group(name).connected(self, func(e *end) error {
			v, err := ability[reactor.Vectored](e.t)
			if err != nil {
				return err
			}
			bufs := make([][]byte, len(list))
			for i, b := range list {
				bufs[i] = e.bytes(b)
			}
			e.try("write", func() error { return counted(size)(v.WriteVec(bufs)) })
			return nil
		})
	}
}

// counted returns a function for the results of a write that must take want bytes. It
// returns an error if the write took fewer.
func counted(want int) func(int, error) error {
	return func(n int, err error) error {
		if err == nil && n != want {
			return fmt.Errorf("a write of %d bytes took %d", want, n)
		}
		return err
	}
}

func parseProducer(p *parser) (string, func(*play, *end) error) {
	name := p.name(kindDial, kindPort)
	how := p.choice("push", "pull", "idle")
	total, piece := 0, 0
	if how != "idle" {
		total, piece = p.number(1, maxBytes), p.number(1, maxBytes)
	}
	return name, func(p *play, self *end) error {
		return p.group(name).connected(self, func(e *end) error {
			(&producer{e: e, pull: how == "pull", left: total, piece: piece}).register()
			return nil
		})
	}
}

func parseCancel(p *parser) (string, func(*play, *end) error) {
	name := p.name(kindDial, kindTimer)
	return name, func(p *play, self *end) error {
		if p.script.names[name] == kindTimer {
			t := p.timers[name]
			if t == nil {
				return fmt.Errorf("the timer %s was not started yet", name)
			}
			if !t.Cancel() {
				p.said = append(p.said, "cancel "+name+": too late")
			}
			return nil
		}
		return p.group(name).each(self, func(e *end) error {
			e.try("cancel", e.c.StopConnecting)
			return nil
		})
	}
}

func parseDisconnect(p *parser) (string, func(*play, *end) error) {
	name := p.name(kindDial)
	return name, func(p *play, self *end) error {
		return p.group(name).each(self, func(e *end) error { e.c.Disconnect(); return nil })
	}
}

func parseStop(p *parser) (string, func(*play, *end) error) {
	name := p.name(kindPort)
	return name, func(p *play, _ *end) error {
		g := p.group(name)
		if g.port == nil {
			return errors.New("the port does not listen yet")
		}
		g.port.StopListening(func(err error) {
			note := "freed"
			if err != nil {
				note += ": " + errorName(err)
			}
			g.self.log.note(note)
			g.self.happened("freed")
		})
		return nil
	}
}

func parseOn(p *parser) (string, func(*play, *end) error) {
	name := p.name(kindDial, kindPort)
	w := p.when()
	c := p.command(true)
	return name, func(p *play, _ *end) error {
		g := p.group(name)
		g.hooks = append(g.hooks, hook{w, c})
		return nil
	}
}

func parsePost(p *parser) (string, func(*play, *end) error) {
	c := p.command(true)
	return c.who, func(p *play, self *end) error {
		p.reactorOf(c).Post(func() { p.do(c, self) })
		return nil
	}
}

func parseTimer(p *parser) (string, func(*play, *end) error) {
	name, d := p.declare(kindTimer), p.duration()
	c := p.command(true)
	return c.who, func(p *play, _ *end) error {
		p.timers[name] = p.reactorOf(c).CallLater(d, func() { p.do(c, nil) })
		return nil
	}
}

func parseReset(p *parser) (string, func(*play, *end) error) {
	name, d := p.name(kindTimer), p.duration()
	return name, func(p *play, _ *end) error {
		t := p.timers[name]
		if t == nil {
			return fmt.Errorf("the timer %s was not started yet", name)
		}
		t.Reset(d)
		return nil
	}
}

func parseSay(p *parser) (string, func(*play, *end) error) {
	text := p.text()
	return "", func(p *play, _ *end) error { p.said = append(p.said, text); return nil }
}

func parseMark(p *parser) (string, func(*play, *end) error) {
	name, text := p.name(kindDial, kindPort), p.text()
	return name, func(p *play, self *end) error {
		return p.group(name).each(self, func(e *end) error { e.log.note("- " + text); return nil })
	}
}

func parsePanic(p *parser) (string, func(*play, *end) error) {
	text := p.text()
	return "", func(*play, *end) error { panic(text) }
}

func parseWait(p *parser) (string, func(*play, *end) error) {
	name := p.name(kindDial, kindPort, kindTimer)
	if p.script.names[name] == kindTimer {
		return name, func(p *play, _ *end) error {
			return p.until(func() bool {
				t := p.timers[name]
				return t == nil || !t.Active()
			}, func() string { return "the timer " + name + " is still to come" })
		}
	}
	w, count := p.when(), 0
	if p.more() {
		count = p.number(1, maxCount)
	}
	return name, func(p *play, _ *end) error {
		return p.until(func() bool { n, want := p.group(name).have(w, count); return n >= want }, func() string {
			n, want := p.group(name).have(w, count)
			return fmt.Sprintf("%d of %d connections of %s have come to that", n, want, name)
		})
	}
}

// have returns to how many ends of g the event has happened, and to how many it must: to
// count, or if that is 0 to all there are, at least one.
func (g *group) have(w when, count int) (n, want int) {
	ends := g.ends
	if w.event == "freed" {
		ends = []*end{g.self}
	}
	for _, e := range ends {
		if e.is(w) {
			n++
		}
	}
	if count == 0 {
		count = max(1, len(ends))
	}
	return n, count
}

func parseTurn(p *parser) (string, func(*play, *end) error) {
	n := p.number(1, maxCount)
	return "", func(p *play, _ *end) error { return p.turn(n) }
}

func parseHide(p *parser) (string, func(*play, *end) error) {
	name, what := p.name(kindDial, kindPort), p.choice("data", "reason", "producing", "everything")
	return name, func(p *play, _ *end) error {
		g := p.group(name)
		g.hidden = append(g.hidden, what)
		return nil
	}
}

// size is how many bytes the payload has.
func (b payload) size() int { return max(b.n, len(b.text)) }
