package receiver_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/frame"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/sim"
)

// LINE-14: a body of the length that a line has said, with line ends in it, and then lines
// again, for every way of cutting the stream.
func TestLINE14ReadExactly(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := new(receiver.Line)
		l.LineReceived = func(p []byte) {
			got.add("line %s", p)
			if length, ok := strings.CutPrefix(string(p), "$"); ok {
				n, err := strconv.Atoi(length)
				if err != nil {
					t.Error(err)
				}
				l.ReadExactly(n, got.take("bulk"))
				l.ReadExactly(2, nil) // the line end behind it
			}
		}
		dial(t, size, l).send("*2\r\n$4\r\na\r\nb\r\n$0\r\n\r\nPING\r\n$3\r\nxyz\r\n\r\nrest")
		equal(t, got, "line *2", "line $4", "bulk a\r\nb", "line $0", "bulk ", "line PING", "line $3", "bulk xyz", "line ")
	})
}

// LINE-14: calls take their turns, those with n = 0 and those made in fn too. No call is made
// in ReadExactly if that is called in a callback.
func TestLINE14Order(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := new(receiver.Line)
		l.LineReceived = func(p []byte) {
			got.add("line %s", p)
			if string(p) != "go" {
				return
			}
			l.ReadExactly(2, func(p []byte) {
				got.add("first %s", p)
				l.ReadExactly(1, got.take("fourth"))
			})
			l.ReadExactly(0, got.take("second"))
			l.ReadExactly(3, got.take("third"))
			got.add("asked")
		}
		dial(t, size, l).send("go\r\nabcdefnext\r\n")
		equal(t, got, "line go", "asked", "first ab", "second ", "third cde", "fourth f", "line next")
	})
}

// LINE-14: outside of a callback, what is there is delivered at once, and the rest when it
// comes. It begins with an unfinished line.
func TestLINE14FromOutside(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := &receiver.Line{LineReceived: got.take("line")}
		l.Made = func() { l.ReadExactly(4, got.take("magic")) }
		w := dial(t, size, l)
		w.send("\r\n\r\nhello\r\nabc\rd")
		equal(t, got, "magic \r\n\r\n", "line hello")
		l.ReadExactly(0, got.take("none"))
		equal(t, got[2:], "none ")
		l.ReadExactly(3, got.take("three"))
		equal(t, got[3:], "three abc")
		l.ReadExactly(4, got.take("four"))
		equal(t, got[4:])
		w.send("e\r\n!\r\n")
		equal(t, got[4:], "four \rde\r", "line \n!")
	})
}

// LINE-14: the modes say what comes behind, and what is put before is taken first.
func TestLINE14Modes(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		raw := ""
		l := new(receiver.Line)
		l.LineReceived = func(p []byte) {
			got.add("line %s", p)
			switch string(p) {
			case "raw":
				l.ReadExactly(2, got.take("exactly"))
				l.SetRawMode()
			case "extra":
				l.ReadExactly(4, got.take("exactly"))
				l.SetLineMode([]byte("12"))
			}
		}
		l.RawReceived = func(p []byte) {
			n := min(len(p), 3-len(raw))
			if raw += string(p[:n]); len(raw) == 3 {
				got.add("raw %s", raw)
				l.ReadExactly(1, got.take("exactly"))
				l.SetLineMode(p[n:])
			}
		}
		dial(t, size, l).send("raw\r\nabcdefextra\r\n34after\r\n")
		equal(t, got, "line raw", "exactly ab", "raw cde", "exactly f", "line extra", "exactly 1234", "line after")
	})
}

// LINE-14: the line that SkipLine drops comes before the bytes of ReadExactly.
func TestLINE14Skip(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := &receiver.Line{MaxLength: 3, LineReceived: got.take("line")}
		l.LineLengthExceeded = func(rest []byte) {
			l.ReadExactly(2, got.take("exactly"))
			l.SkipLine(rest)
		}
		dial(t, size, l).send("a\r\ntoo long\r\n\r\nb\r\n")
		equal(t, got, "line a", "exactly \r\n", "line b")
	})
}

// LINE-14: pausing holds fn back, and closing drops it; ConnectionLost comes alone.
func TestLINE14PauseAndEnd(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := new(receiver.Line)
		l.LineReceived = func(p []byte) {
			got.add("line %s", p)
			l.ReadExactly(2, func(p []byte) {
				got.add("exactly %s", p)
				l.PauseProducing()
			})
			l.PauseProducing()
		}
		w := dial(t, size, l)
		w.send("1\r\nab2\r\ncd")
		for _, want := range []string{"line 1", "exactly ab", "line 2", "exactly cd"} {
			equal(t, got[len(got)-1:], want)
			l.ResumeProducing()
			w.pump()
		}
		equal(t, got, "line 1", "exactly ab", "line 2", "exactly cd")
	})
	for name, end := range map[string]func(*receiver.Line, *wire){
		"close": func(l *receiver.Line, w *wire) { l.T.Close(); w.pump() },
		"abort": func(l *receiver.Line, w *wire) { l.T.Abort(); w.pump() },
		"lost":  func(_ *receiver.Line, w *wire) { w.lose(io.EOF) },
		"peer":  func(_ *receiver.Line, w *wire) { w.peer.Close(); w.pump() },
	} {
		t.Run(name, func(t *testing.T) {
			var got events
			l := &receiver.Line{Lost: func(error) { got.add("lost") }}
			l.LineReceived = func(p []byte) {
				l.ReadExactly(3, got.take("exactly"))
				l.ReadExactly(0, got.take("exactly"))
			}
			w := dial(t, 1<<30, l)
			w.send("1\r\nab")
			end(l, w)
			l.DataReceived([]byte("c"))
			l.ReadExactly(0, got.take("exactly"))
			equal(t, got, "lost")
		})
	}
}

func TestReadExactlyMisuse(t *testing.T) {
	l := new(receiver.Line)
	w := &wire{t: t, proto: l}
	l.Made = func() { l.ReadExactly(-1, nil) }
	if w.connect(1); w.panics != 1 {
		t.Error("a negative n is accepted")
	}
}

// A body that is whole in a chunk is not copied, and nothing is allocated.
func TestReadExactlyAllocs(t *testing.T) {
	l, n := new(receiver.Line), 0
	body := func(p []byte) { n += len(p) }
	l.LineReceived = func([]byte) { l.ReadExactly(1000, body) }
	w := dial(t, whole, l)
	stream := []byte(strings.Repeat("x\r\n"+strings.Repeat("y", 1000), 20))
	if got := testing.AllocsPerRun(10, func() { l.DataReceived(stream) }); got != 0 {
		t.Errorf("%v allocations for 20 bodies", got)
	}
	if n != 11*20*1000 || w.ended {
		t.Errorf("%d bytes came", n)
	}
}

// STR-11: Rest is what was not delivered, from the first byte of what is unfinished on, and
// what comes later is delivered.
func TestSTR11Rest(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		l := &receiver.Line{LineReceived: got.take("got")}
		n := &receiver.Netstring{StringReceived: got.take("got")}
		x := &receiver.Prefixed{StringReceived: got.take("got"), Width: frame.Width16}
		s := &receiver.Stateful{}
		var step receiver.Step
		step = receiver.Step{Size: 2, Received: func(p []byte) receiver.Step { got.add("got %s", p); return step }}
		s.First = step
		for _, c := range []struct {
			p interface {
				reactor.Protocol
				Rest() []byte
			}
			first, rest, last string
		}{
			{l, "a1\r\n", "b2", "c3\r\n"},
			{l, "a1\r\n", "b2\r", "c3\r\n"},
			{n, "2:a1,", "", "2:c3,"},
			{n, "2:a1,", "0", "2:c3,"},
			{n, "2:a1,", "0:", "2:c3,"},
			{n, "2:a1,", "31", "2:c3,"},
			{n, "2:a1,", "31:", "2:c3,"},
			{n, "2:a1,", "31:xyz", "2:c3,"},
			{x, "\x00\x02a1", "", "\x00\x02c3"},
			{x, "\x00\x02a1", "\x01", "\x00\x02c3"},
			{x, "\x00\x02a1", "\x01\x02", "\x00\x02c3"},
			{x, "\x00\x02a1", "\x01\x02xyz", "\x00\x02c3"},
			{s, "a1", "", "c3"},
			{s, "a1", "b", "c3"},
		} {
			got = nil
			w := dial(t, size, c.p)
			w.send(c.first + c.rest)
			if rest := string(c.p.Rest()); rest != c.rest {
				t.Errorf("%T: rest %q, want %q", c.p, rest, c.rest)
			}
			w.send(c.last)
			equal(t, got, "got a1", "got c3")
			equal(t, w.log)
			w.lose(io.EOF)
			if rest := c.p.Rest(); rest != nil {
				t.Errorf("%T: rest %q after the loss", c.p, rest)
			}
			*l = receiver.Line{LineReceived: l.LineReceived}
			*n = receiver.Netstring{StringReceived: n.StringReceived}
			*x = receiver.Prefixed{StringReceived: x.StringReceived, Width: x.Width}
			*s = receiver.Stateful{First: s.First}
		}
	})
}

// STR-11: in a callback, Rest is what lies behind that string. The step that calls it may give
// the connection to another protocol, and returns the zero Step, which does not close it then.
func TestSTR11HandedOn(t *testing.T) {
	everyChunk(t, func(t *testing.T, size int) {
		var got events
		s, l := new(receiver.Stateful), &receiver.Line{LineReceived: got.take("line")}
		w := new(wire)
		hello := func(p []byte) receiver.Step {
			got.add("hello %s", p)
			rest := s.Rest()
			l.ConnectionMade(s.T)
			w.proto = l // what SwitchProtocol does to a Stream
			l.DataReceived(rest)
			return receiver.Step{}
		}
		s.First = receiver.Step{Size: 2, Received: hello}
		*w = wire{t: t, proto: s}
		w.connect(size)
		w.send("hione\r\ntwo\r\n")
		w.send("three\r\n")
		equal(t, got, "hello hi", "line one", "line two", "line three")
		equal(t, w.log)
	})
}

// STR-11: after Rest, the zero Step takes no more bytes, also if nobody else takes them.
func TestSTR11RestAlone(t *testing.T) {
	var got events
	s := &receiver.Stateful{Lost: func(err error) { got.add("lost %v", errors.Is(err, reactor.ErrClosed)) }}
	s.First = receiver.Step{Size: 1, Received: func(p []byte) receiver.Step {
		got.add("%s %s", p, s.Rest())
		return receiver.Step{}
	}}
	w := dial(t, whole, s)
	w.send("abc")
	w.send("def")
	equal(t, got, "a bc")
	equal(t, w.log)
	s.T.Close()
	w.pump()
	equal(t, got, "a bc", "lost true")
}

func ExampleLine_ReadExactly() {
	l := new(receiver.Line)
	l.LineReceived = func(line []byte) {
		n, err := strconv.Atoi(strings.TrimPrefix(string(line), "$"))
		if err != nil || n < 0 || n > 512<<20 { // the peer must not choose how much is kept
			l.T.Close()
			return
		}
		l.ReadExactly(n, func(bulk []byte) { fmt.Printf("%q\n", bulk) })
		l.ReadExactly(2, nil) // the line end behind it
	}
	serveOne(l, "$5\r\na\r\nbc\r\n$0\r\n\r\nQUIT\r\n")
	// Output:
	// "a\r\nbc"
	// ""
}

// serveOne has l receive what one client sends, until the connection is lost.
func serveOne(l *receiver.Line, stream string) {
	r := reactor.New(sim.OpenKernel(1), reactor.Config{ReadBuffer: 4})
	l.Lost = func(error) { r.Stop() }
	port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 25), reactor.One(l), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Dial(port.Addr(), reactor.One(&sender{stream: stream}), nil, nil)
	r.Run(context.Background())
}

// sender sends a stream.
type sender struct {
	reactor.Base
	stream string
}

func (s *sender) ConnectionMade(t reactor.Transport) { t.Write([]byte(s.stream)) }
func (s *sender) DataReceived([]byte)                {}
