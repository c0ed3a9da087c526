package receiver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/sim"
)

// STR-1: netstrings come in any chunking, empty and nested ones and those of
// exactly 99999 bytes; what SendString writes is one.
func TestSTR1Netstring(t *testing.T) {
	long := strings.Repeat("x", 99999)
	everyChunk(t, func(t *testing.T, size int) {
		out := new(receiver.Netstring)
		w := dial(t, size, out)
		for _, s := range []string{"hello", "", "3:a,b,", long} {
			if err := out.SendString([]byte(s)); err != nil {
				t.Fatal(err)
			}
		}
		wire := strings.Join(w.wrote, "")
		if !strings.HasPrefix(wire, "5:hello,0:,6:3:a,b,,99999:x") {
			t.Fatalf("wrote %.40q", wire)
		}
		var got events
		in := &receiver.Netstring{StringReceived: got.take("string")}
		dial(t, size, in).send(wire + "3:ab")
		equal(t, got, "string hello", "string ", "string 3:a,b,", "string "+long)
		if in.Broken() != nil {
			t.Errorf("broken: %v", in.Broken())
		}
	})
	for after := range 3 { // whichever of its writes fails
		n := new(receiver.Netstring)
		w := &wire{t: t, proto: n, max: len("1:x,"[:1+after])}
		w.connect(1)
		if err := n.SendString([]byte("x")); !errors.Is(err, reactor.ErrBufferFull) || len(w.wrote) != after {
			t.Errorf("after %d writes: %v, wrote %q", after, err, w.wrote)
		}
	}
}

// STR-2: whatever is wrong closes the connection, is to be seen in Broken, and no
// later string is delivered.
func TestSTR2Broken(t *testing.T) {
	for _, c := range []struct {
		name, stream string
		want         error
	}{
		{"leading zero", "01:x,", frame.ErrSyntax},
		{"leading space", " 1:x,", frame.ErrSyntax},
		{"no digit", "x:x,", frame.ErrSyntax},
		{"no length", ":x,", frame.ErrSyntax},
		{"no colon", "1x,", frame.ErrSyntax},
		{"no comma", "1:xx", frame.ErrSyntax},
		{"too large", "51:", frame.ErrTooLong},
		{"too large, digits alone", "51", frame.ErrTooLong},
		{"too long a prefix", "100000", frame.ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyChunk(t, func(t *testing.T, size int) {
				var got events
				n := &receiver.Netstring{StringReceived: got.take("string"), MaxLength: 50}
				w := dial(t, size, n)
				w.late = "1:d," // from a transport that does not know yet
				w.send("1:a," + c.stream + "1:b,1:c,")
				equal(t, got, "string a")
				equal(t, w.log, "close")
				if !errors.Is(n.Broken(), c.want) {
					t.Errorf("broken %v", n.Broken())
				}
				if w.late != "" || w.Protocol() != nil {
					t.Error("the connection is not lost")
				}
				if n.Broken() == nil {
					t.Error("forgot at the loss")
				}
			})
		})
	}
}

// STR-3: prefixes of 1, 2 and 4 bytes, big-endian; several strings in a chunk,
// unfinished ones kept.
func TestSTR3Prefixed(t *testing.T) {
	for _, width := range []frame.Width{frame.Width8, frame.Width16, frame.Width32, 0} {
		bytes := int(width)
		if bytes == 0 {
			bytes = 4
		}
		everyChunk(t, func(t *testing.T, size int) {
			var got events
			p := &receiver.Prefixed{Width: width, StringReceived: got.take("string")}
			w := dial(t, size, p)
			var stream []byte
			for _, s := range []string{"one", "", "two", strings.Repeat("x", 200)} {
				if err := p.SendString([]byte(s)); err != nil {
					t.Fatal(err)
				}
				stream = append(stream, []byte{0, 0, 0, byte(len(s))}[4-bytes:]...)
				stream = append(stream, s...)
			}
			if wrote := strings.Join(w.wrote, ""); wrote != string(stream) {
				t.Fatalf("wrote %.20q, want %.20q", wrote, stream)
			}
			w.send(string(stream) + string(stream[:2]))
			equal(t, got, "string one", "string ", "string two", "string "+strings.Repeat("x", 200))
			w.send(string(stream[2 : len(stream)-1]))
			equal(t, got[4:], "string one", "string ", "string two")
		})
	}
	var got events
	dial(t, 1, &receiver.Prefixed{Width: frame.Width16, StringReceived: got.take("string")}).send("\x01\x00" + strings.Repeat("y", 256))
	equal(t, got, "string "+strings.Repeat("y", 256))
}

// STR-4: a prefix above MaxLength is told with its length, or closes; the string
// is not delivered.
func TestSTR4Limit(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		for _, handled := range []bool{false, true} {
			var got events
			p := &receiver.Prefixed{StringReceived: got.take("string")}
			if handled {
				p.LengthLimitExceeded = func(n int64) { got.add("limit %d", n) }
			}
			w := dial(t, size, p)
			w.send("\x00\x00\x00\x01a\x00\x01\x86\xa0" + "\x00\x00\x00\x01b")
			if handled {
				equal(t, got, "string a", "limit 100000")
				equal(t, w.log)
			} else {
				equal(t, got, "string a")
				equal(t, w.log, "close")
			}
		}
	})
	count := 0
	p := &receiver.Prefixed{StringReceived: func(p []byte) { count += len(p) }}
	dial(t, 1<<30, p).send("\x00\x01\x86\x9f" + strings.Repeat("x", 99999))
	if count != 99999 {
		t.Errorf("a string of 99999 bytes: %d came", count)
	}
}

// STR-5: a string longer than the prefix can say is refused, and nothing written.
func TestSTR5TooLong(t *testing.T) {
	for _, c := range []struct {
		width frame.Width
		max   int
	}{{frame.Width8, 255}, {frame.Width16, 65535}} {
		p := &receiver.Prefixed{Width: c.width}
		w := dial(t, 1, p)
		err := p.SendString(make([]byte, c.max+1))
		if e, ok := errors.AsType[*frame.TooLongError](err); !ok || e.Limit != c.max || len(w.wrote) != 0 {
			t.Errorf("%d bytes: %v, wrote %d times", c.max+1, err, len(w.wrote))
		}
		if err := p.SendString(make([]byte, c.max)); err != nil {
			t.Errorf("%d bytes: %v", c.max, err)
		}
		if got := len(strings.Join(w.wrote, "")); got != int(c.width)+c.max {
			t.Errorf("wrote %d bytes", got)
		}
	}
}

// STR-6: pausing in StringReceived holds later strings until resume. STR-7: after
// closing in it none are delivered.
func TestSTR6STR7PauseClose(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		n, x, s := new(receiver.Netstring), &receiver.Prefixed{Width: frame.Width8}, new(receiver.Stateful)
		for _, c := range []struct {
			p      pausing
			stream string
			end    func()
		}{
			{n, "1:a,1:b,1:c,1:d,", func() { n.T.Close() }},
			{x, "\x01a\x01b\x01c\x01d", func() { x.T.Close() }},
			{s, "abcd", func() { s.T.Abort() }},
		} {
			got = nil
			take := func(p []byte) {
				got.add("%s", p)
				if c.p.PauseProducing(); string(p) == "c" {
					c.end()
				}
			}
			n.StringReceived, x.StringReceived = take, take
			var step receiver.Step
			step = receiver.Step{Size: 1, Received: func(p []byte) receiver.Step { take(p); return step }}
			s.First = step
			w := dial(t, size, c.p)
			w.send(c.stream)
			equal(t, got, "a")
			c.p.ResumeProducing()
			w.pump()
			equal(t, got, "a", "b")
			c.p.ResumeProducing()
			w.pump()
			c.p.ResumeProducing()
			w.pump()
			equal(t, got, "a", "b", "c")
		}
	})
}

type pausing interface {
	reactor.Protocol
	reactor.Producer
}

// STR-7: after Close or Abort no more strings come, also of those that have arrived.
func TestSTR7Close(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		for _, abort := range []bool{false, true} {
			var got events
			take := func(to reactor.Transport, p []byte) {
				if got.add("%s", p); string(p) != "b" {
					return
				}
				if abort {
					to.Abort()
				} else {
					to.Close()
				}
			}
			n, x, s := new(receiver.Netstring), &receiver.Prefixed{Width: frame.Width8}, new(receiver.Stateful)
			n.StringReceived = func(p []byte) { take(n.T, p) }
			x.StringReceived = func(p []byte) { take(x.T, p) }
			var step receiver.Step
			step = receiver.Step{Size: 1, Received: func(p []byte) receiver.Step { take(s.T, p); return step }}
			s.First = step
			for _, c := range []struct {
				p            reactor.Protocol
				stream, late string
			}{
				{n, "1:a,1:b,1:c,1:d,", "1:e,"},
				{x, "\x01a\x01b\x01c\x01d", "\x01e"},
				{s, "abcd", "e"},
			} {
				got = nil
				w := dial(t, size, c.p)
				w.late = c.late
				w.send(c.stream)
				equal(t, got, "a", "b")
			}
		}
	})
}

// STR-8: the state handles a string and says which is next; nil is the end.
func TestSTR8States(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		n := new(receiver.Netstring)
		var body receiver.State
		body = func(p []byte) receiver.State {
			if got.add("body %s", p); string(p) == "." {
				return nil
			}
			return body
		}
		hello := func(p []byte) receiver.State { got.add("hello %s", p); return body }
		n.StringReceived = receiver.States(hello, func() { got.add("done"); n.T.Close() })
		w := dial(t, size, n)
		w.send("1:a,1:b,1:c,1:.,1:d,")
		equal(t, got, "hello a", "body b", "body c", "body .", "done")
		equal(t, w.log, "close")
	})
	count := 0
	take := receiver.States(func([]byte) receiver.State { count++; return nil }, func() { count += 10 })
	take(nil)
	take(nil)
	if count != 11 {
		t.Errorf("count %d: a state or done was called again", count)
	}
}

// STR-8: function and size likewise, for pieces of fixed sizes.
func TestSTR8Stateful(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		s := &receiver.Stateful{Lost: func(err error) { got.add("lost %v", err) }}
		var head receiver.Step
		head = receiver.Step{Size: 2, Received: func(p []byte) receiver.Step {
			got.add("head %s", p)
			if p[1] == '0' {
				return receiver.Step{}
			}
			return receiver.Step{Size: int(p[1] - '0'), Received: func(p []byte) receiver.Step {
				got.add("body %s", p)
				return head
			}}
		}}
		s.Made = func() { s.First = head; got.add("made") }
		w := dial(t, size, s)
		w.send("a3xyzb1.c0more")
		equal(t, got, "made", "head a3", "body xyz", "head b1", "body .", "head c0", "lost "+reactor.ErrClosed.Error())
		equal(t, w.log, "close")
	})
	w := dial(t, 1, new(receiver.Stateful)) // no first step
	equal(t, w.log, "close")
	w = &wire{t: t, proto: &receiver.Stateful{First: receiver.Step{Size: -1, Received: func([]byte) receiver.Step { return receiver.Step{} }}}}
	if w.connect(1); w.panics != 1 {
		t.Error("a step of -1 bytes is accepted")
	}
}

// STR-8: a step of no bytes is called without waiting for any, the first one before ConnectionMade
// returns; not while the receiver is paused, and not after a Close.
func TestSTR8EmptySteps(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		var s *receiver.Stateful
		var head receiver.Step
		body := func(p []byte) receiver.Step {
			got.add("body %q", p)
			return head
		}
		head = receiver.Step{Size: 1, Received: func(p []byte) receiver.Step {
			switch got.add("head %s", p); p[0] {
			case 'p':
				s.T.PauseProducing()
				return receiver.Step{Received: body}
			case 'c':
				s.T.Close()
				return receiver.Step{Received: body}
			}
			return receiver.Step{Size: int(p[0] - '0'), Received: body}
		}}
		s = &receiver.Stateful{Made: func() { got.add("made") }}
		s.First = receiver.Step{Received: body}
		w := dial(t, size, s)
		equal(t, got, "made", `body ""`)
		got = nil
		w.send("01x0p2")
		equal(t, got, "head 0", `body ""`, "head 1", `body "x"`, "head 0", `body ""`, "head p")
		got = nil
		s.T.ResumeProducing()
		w.send("yzc0")
		equal(t, got, `body ""`, "head 2", `body "yz"`, "head c")
	})
}

// STR-8: a machine that goes on with steps of no bytes for ever ends with its connection, and holds
// up nobody. A byte between them is no loop.
func TestSTR8EmptyStepsForEver(t *testing.T) {
	for _, endless := range []bool{true, false} {
		steps := 0
		var none, one receiver.Step
		none.Received = func([]byte) receiver.Step {
			if steps++; steps%900 == 0 && !endless {
				return one
			}
			return none
		}
		one = receiver.Step{Size: 1, Received: func([]byte) receiver.Step { return none }}
		w := &wire{t: t, proto: &receiver.Stateful{First: none}}
		if endless {
			if w.connect(1); w.panics != 1 || steps != 1000 {
				t.Errorf("STR-8: %d panics after %d steps", w.panics, steps)
			}
			continue
		}
		w.connect(1)
		if w.send("abc"); w.panics != 0 || steps != 4*900 {
			t.Errorf("STR-8: %d panics after %d steps", w.panics, steps)
		}
	}
}

// STR-8: a machine that gives way in each of its steps of no bytes, and is released later, is no loop;
// in a loop after that it has a thousand steps again.
func TestSTR8EmptyStepsWithPauses(t *testing.T) {
	steps, loops := 0, false
	s := new(receiver.Stateful)
	var none receiver.Step
	none.Received = func([]byte) receiver.Step {
		if steps++; !loops {
			s.Hold()
		}
		return none
	}
	s.First = none
	w := &wire{t: t, proto: s}
	w.connect(1)
	for range 1499 {
		s.Release() // as another turn would
	}
	if w.panics != 0 || steps != 1500 {
		t.Fatalf("STR-8: %d panics after %d steps", w.panics, steps)
	}
	steps, loops = 0, true
	func() {
		defer func() { recover() }()
		s.Release()
	}()
	if steps != 1000 {
		t.Errorf("STR-8: the loop ended after %d steps", steps)
	}
}

// chat embeds a receiver: what it does not define is the receiver's.
type chat struct {
	receiver.Line
	out bytes.Buffer
}

func (c *chat) ConnectionMade(t reactor.Transport) {
	c.Line.ConnectionMade(t)
	c.LineReceived = func(line []byte) {
		fmt.Fprintf(&c.out, "<%s>", line)
		if string(line) == "quit" {
			c.T.Close()
		}
	}
}

func TestEmbedded(t *testing.T) {
	var f reactor.Factory = reactor.Each[chat]()
	_ = f
	everyChunk(t, func(t *testing.T, size int) {
		c := new(chat)
		dial(t, size, c).send("hi\r\nquit\r\nlater\r\n")
		if got := c.out.String(); got != "<hi><quit>" {
			t.Errorf("got %q", got)
		}
	})
}

// asker sends a request, and keeps the answer.
type asker struct {
	reactor.Base
	request string
	answer  []byte
}

func (a *asker) ConnectionMade(t reactor.Transport) {
	a.Base.ConnectionMade(t)
	fmt.Fprint(t, a.request)
}
func (a *asker) DataReceived(p []byte) { a.answer = append(a.answer, p...) }
func (a *asker) ConnectionLost(error)  { fmt.Printf("%q\n", a.answer); a.T.Reactor().Stop() }

func ExampleLine() {
	l := new(receiver.Line)
	l.LineReceived = func(line []byte) {
		fmt.Printf("%s\n", line)
		if string(line) == "QUIT" {
			l.SendLine([]byte("221 bye"))
			l.T.Close()
		}
	}
	r := reactor.New(sim.OpenKernel(1), reactor.Config{ReadBuffer: 4}) // everything is read four bytes at a time
	one := func(p reactor.Protocol) reactor.Factory {
		return reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { return p })
	}
	port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 25), one(l), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Dial(port.Addr(), one(&asker{request: "HELO example\r\nQUIT\r\nMORE\r\n"}), nil, nil)
	r.Run(context.Background())
	// Output:
	// HELO example
	// QUIT
	// "221 bye\r\n"
}
