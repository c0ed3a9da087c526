package worlds

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/whorl-go/whorl/examples/resp/kv"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/sim"
)

// RESP is the server of examples/resp with three clients that send several commands at a time and
// sometimes read nothing for a while. Each command has its own answer, in order; a key has the value that
// was set last until it expires; and who has subscribed hears all that is published, in order.
func RESP() sim.World {
	return sim.World{
		Name:   "resp",
		About:  "a server of keys and channels, and three clients that send many commands at once",
		Length: 12 * time.Second,
		Faults: func(o sim.Options) sim.Options { o.Jump = 0; return o }, // a key lives by the server's clock
		Setup: func(n *sim.Net) sim.Checks {
			small(n)
			w := &keys{srv: n.Host("srv"), random: chance{n.Seed()}, good: map[string]int{}}
			w.srv.Start(w.serve)
			for _, name := range []string{"ann", "bob", "cid"} {
				n.Host(name).Start(func(h *sim.Host) { w.connect(h.Reactor, name) })
			}
			return sim.Checks{Always: w.err, Done: w.done, Sometimes: []sim.Condition{
				{Name: "a client reads nothing"}, {Name: "a key has expired"}, {Name: "a client loses patience"},
			}}
		},
	}
}

// keys is the state of the world RESP.
type keys struct {
	verdict
	srv    *sim.Host
	random chance
	visits int
	good   map[string]int // answers by the name of the command, and messages
	calm   int            // commands answered when the faults ended; 0 while they last
}

// serve is the server's program. It holds back early who does not read.
func (w *keys) serve(h *sim.Host) {
	o := &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: 500}}
	if _, err := h.Reactor.Listen(h.Addr(6379), new(kv.Server), o); err != nil {
		w.fail("starts", "listening: %w", err)
	}
}

// connect makes a visit, and another one when that is over. Each has a key and a name of its own, because
// the server may still carry out commands of the last one.
func (w *keys) connect(r *reactor.Reactor, name string) {
	w.visits++
	v := &keyVisit{w: w, name: fmt.Sprintf("%s.%d", name, w.visits), heard: map[string]int{}}
	again := func(error) { r.CallLater(500*time.Millisecond, func() { w.connect(r, name) }) }
	v.LineReceived = v.line
	v.Made = func() {
		v.send("HELLO", "3")
		v.send("SUBSCRIBE", "news")
		v.stop = r.Every(700*time.Millisecond, v.burst).Stop
	}
	v.Lost = func(err error) { v.stop(); again(err) }
	dial(r, w.srv.Addr(6379), v, again)
}

// done tells whether each kind of answer has come since the faults ended.
func (w *keys) done() bool {
	sum := 0
	for _, kind := range []string{"ECHO", "SET", "GET", "INCR", "PUBLISH", "message"} {
		sum += min(w.good[kind], 1000)
		if w.good[kind] < 3 {
			return false
		}
	}
	if w.calm == 0 {
		w.calm = sum
	}
	return sum > w.calm+60
}

// keyVisit is a connection of a client.
type keyVisit struct {
	receiver.Line
	w        *keys
	name     string
	stop     func()
	calls    []keyCall // without an answer yet
	heard    map[string]int
	told     int // messages published, of which so many are answered
	answered int
	count    int // the last answer to INCR
	last     keyCall

	// The answer in progress.
	kind  byte
	parts []string
	want  int
}

// keyCall is a command.
type keyCall struct {
	args  []string
	at    time.Duration
	value keyValue // of a GET: what was set before
}

// keyValue is what was set. It may be gone after keyLife.
type keyValue struct {
	text string
	at   time.Duration
}

const keyLife = 3 * time.Second

// send sends a command as programs do.
func (v *keyVisit) send(args ...string) {
	text := fmt.Sprintf("*%d\r\n", len(args))
	for _, a := range args {
		text += fmt.Sprintf("$%d\r\n%s\r\n", len(a), a)
	}
	fmt.Fprint(v.T, text)
	c := keyCall{args: args, at: v.T.Reactor().Now(), value: v.last.value}
	if args[0] == "SET" {
		c.value = keyValue{args[2], c.at}
		v.last = c
	}
	if args[0] != "SUBSCRIBE" { // is answered by a push
		v.calls = append(v.calls, c)
	}
}

// burst sends several commands, and reads nothing for a while now and then.
func (v *keyVisit) burst() {
	r, random := v.T.Reactor(), &v.w.random
	if len(v.calls) > 0 && r.Now()-v.calls[0].at > 8*time.Second {
		r.Sometimes("a client loses patience", true)
		v.T.Abort()
		return
	}
	if random.Float64() < 0.05 {
		r.Sometimes("a client reads nothing", true)
		v.PauseProducing()
		r.CallLater(3*time.Second, v.ResumeProducing)
	}
	for range 1 + int(8*random.Float64()) {
		switch x := random.Float64(); {
		case x < 0.06:
			life := keyLife.Milliseconds()
			v.send("SET", v.name, fmt.Sprint(r.Now())+strings.Repeat("x", 200), "PX", fmt.Sprint(life))
		case x < 0.4:
			v.send("GET", v.name)
		case x < 0.7:
			v.send("ECHO", fmt.Sprint(random.Float64()))
		case x < 0.9:
			v.send("INCR", "n")
		default:
			v.told++
			v.send("PUBLISH", "news", fmt.Sprint(v.name, " ", v.told))
		}
	}
}

// line takes a line of an answer, or of a message.
func (v *keyVisit) line(line []byte) {
	if v.want == 0 {
		v.kind, v.parts, v.want = line[0], nil, 1
	}
	n, _ := strconv.Atoi(string(line[1:]))
	switch line[0] {
	case '$':
		v.ReadExactly(n+2, func(p []byte) { v.part(string(p[:n])) })
	case '*', '>', '%':
		if line[0] == '%' {
			n *= 2
		}
		v.want += n
		v.part("")
	default:
		v.part(string(line))
	}
}

// part takes a part of an answer.
func (v *keyVisit) part(text string) {
	if v.parts = append(v.parts, text); len(v.parts) < v.want {
		return
	}
	v.want = 0
	switch {
	case v.kind == '>' && v.parts[1] == "message":
		v.message(v.parts[3])
	case v.kind == '>':
	case len(v.calls) == 0:
		v.w.fail("one answer each", "%s got %q, and waits for nothing", v.name, v.parts)
	default:
		c := v.calls[0]
		v.calls = v.calls[1:]
		v.w.good[c.args[0]]++
		v.answer(c, v.parts[0])
	}
}

// message checks that it is the next one of its client.
func (v *keyVisit) message(text string) {
	name, number, _ := strings.Cut(text, " ")
	n, _ := strconv.Atoi(number)
	if before, ok := v.heard[name]; ok && n != before+1 {
		v.w.fail("all messages in order", "%s heard %q after number %d", v.name, text, before)
	}
	v.heard[name] = n
	v.w.good["message"]++
}

// answer checks the answer to a command.
func (v *keyVisit) answer(c keyCall, got string) {
	r, ok := v.T.Reactor(), true
	switch c.args[0] {
	case "ECHO":
		ok = got == c.args[1]
	case "PUBLISH": // it has heard the message itself
		v.answered++
		ok = got[0] == ':' && v.heard[v.name] == v.answered
	case "SET":
		ok = got == "+OK"
	case "INCR":
		n, err := strconv.Atoi(strings.TrimPrefix(got, ":"))
		ok = err == nil && n > v.count
		v.count = n
	case "GET":
		age := r.Now() - c.value.at // at least as long ago as the answer to SET
		switch {
		case got != "_":
			ok = got == c.value.text && (v.w.calm == 0 || c.at-c.value.at < 20*time.Second)
		case c.value.text != "":
			r.Sometimes("a key has expired", true)
			ok = age > keyLife/2 // clocks differ
		}
	}
	if !ok {
		v.w.fail("right answers", "%s got %.40q to %.60q, set %.40q at %v", v.name, got, c.args, c.value.text, c.value.at)
	}
}
