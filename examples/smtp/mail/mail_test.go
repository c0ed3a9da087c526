package mail_test

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/examples/smtp/mail"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

// box is a server and what it was given.
type box struct {
	mail.Server
	got chan mail.Message
}

func newBox() *box {
	b := &box{got: make(chan mail.Message, 10_000)}
	b.Server = mail.Server{Name: "mx", MaxMessage: 1000, MaxRecipients: 3, Deliver: func(m mail.Message) error {
		if m.To[0] == "full@x" {
			return errors.New("full")
		}
		b.got <- m
		return nil
	}}
	return b
}

// message is the next one, as text.
func (b *box) message() string {
	m := <-b.got
	return fmt.Sprintf("%s %v %s %v %q", m.Helo, m.TLS, m.From, m.To, m.Data)
}

func listen(t *testing.T, r *reactor.Reactor, f reactor.Factory, c *reactor.ListenConfig) kernel.Addr {
	t.Helper()
	port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), f, c)
	if err != nil {
		t.Fatal(err)
	}
	return port.Addr()
}

const (
	greeting = "220 mx ESMTP\r\n"
	ehlo     = "250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 1000\r\n"
	envelope = "EHLO c\r\nMAIL FROM:<a@x> SIZE=100\r\nRCPT TO:<b@x>\r\nDATA\r\n"
	accepted = ehlo + "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 end with .\r\n"
)

var conversation = []struct{ call, answer string }{
	{"MAIL FROM:<a@x>\r\n", "503 5.5.1 not now\r\n"},
	{"helo\r\n", "501 5.5.4 a name is missing\r\n"},
	{"helo c\r\n", "250 mx\r\n"},
	{"EHLO c\r\n", ehlo},
	{"STARTTLS\r\n", "503 5.5.1 not now\r\n"},
	{"RCPT TO:<b@x>\r\n", "503 5.5.1 MAIL first\r\n"},
	{"MAIL a@x\r\n", "501 5.1.7 MAIL FROM:<address>\r\n"},
	{"MAIL FROM:<a@x> SIZE=1001\r\n", "552 5.3.4 the message is too long\r\n"},
	{"MAIL FROM:<a@x> X=1\r\n", "555 5.5.4 unknown parameter\r\n"},
	{"MAIL FROM:<> BODY=8BITMIME\r\n", "250 2.1.0 ok\r\n"},
	{"DATA\r\n", "503 5.5.1 RCPT first\r\n"},
	{"RSET\r\n", "250 2.0.0 ok\r\n"},
	{"mail from: <a@x> size=100\r\n", "250 2.1.0 ok\r\n"},
	{"RCPT TO:<>\r\n", "501 5.1.3 RCPT TO:<address>\r\n"},
	{"RCPT TO:<b@x>\r\nRCPT TO:<c@x>\r\nRCPT TO:<d@x>\r\n", "250 2.1.5 ok\r\n250 2.1.5 ok\r\n250 2.1.5 ok\r\n"},
	{"RCPT TO:<e@x>\r\n", "452 4.5.3 too many recipients\r\n"},
	{"DATA\r\n", "354 end with .\r\n"},
	{"Subject: x\r\n\r\n..\r\n.b\r\n . \r\n.\r\n", "250 2.0.0 taken\r\n"},
	{strings.Repeat("x", 3000) + "\r\n", "500 5.5.2 line too long\r\n"},
	{"WHAT\r\nNOOP\r\nVRFY a\r\n", "500 5.5.1 unknown command\r\n250 2.0.0 ok\r\n252 2.1.5 send some mail and see\r\n"},
	{"MAIL FROM:<a@x>\r\nRCPT TO:<full@x>\r\nDATA\r\n", "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 end with .\r\n"},
	{"x\r\n.\r\n", "451 4.3.0 the message could not be stored, try again later\r\n"},
	{"QUIT\r\nNOOP\r\n", "221 2.0.0 bye\r\n"},
}

// Commands are answered in order, also if they come together, however the stream is cut.
func TestConversation(t *testing.T) {
	all, answers := "", greeting
	for _, c := range conversation {
		all, answers = all+c.call, answers+c.answer
	}
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			b := newBox()
			addr := listen(t, r, b, nil)
			one, together := w.Peer(t, addr, r), w.Peer(t, addr, r)
			one.Expect(greeting)
			for _, c := range conversation {
				one.Send(c.call)
				one.Expect(c.answer)
			}
			together.Send(all)
			if got, err := together.Rest(); string(got) != answers || err != io.EOF {
				t.Errorf("%v, and got\n%q, want\n%q", err, got, answers)
			}
			for range 2 {
				want := `c false a@x [b@x c@x d@x] "Subject: x\r\n\r\n.\r\nb\r\n . \r\n"`
				if got := b.message(); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	}
}

// What is wrong with a message is told at its end, and the session goes on.
func TestRefused(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			b := newBox()
			addr := listen(t, r, b, nil)
			for _, c := range []struct{ data, answer string }{
				{strings.Repeat(strings.Repeat("x", 98)+"\r\n", 10), "250 2.0.0 taken\r\n"},
				{strings.Repeat(strings.Repeat("x", 98)+"\r\n", 10) + "\r\n", "552 5.3.4 the message is too long\r\n"},
				{strings.Repeat("x", 9000) + "\r\ny\r\n", "554 5.6.0 a line is too long\r\n"},
				{"x\n.\nQUIT\r\n", "554 5.6.0 a bare CR or LF\r\n"},
				{"x\n.\r\nQUIT\r\n", "554 5.6.0 a bare CR or LF\r\n"},
			} {
				p := w.Peer(t, addr, r)
				p.Send(envelope + c.data + ".\r\nNOOP\r\n")
				p.Expect(greeting + accepted + c.answer + "250 2.0.0 ok\r\n")
			}
			if <-b.got; len(b.got) != 0 {
				t.Error("a refused message was delivered:", b.message())
			}
		})
	}
}

// A command has its time, which a byte now and then does not prolong, and a message has another.
func TestTime(t *testing.T) {
	for _, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue
		}
		r := w.New(t, reactor.Config{})
		b := newBox()
		b.CommandTime, b.DataTime = 10*time.Second, 20*time.Second
		addr := listen(t, r, b, nil)
		for call, want := range map[string]time.Duration{"": 10 * time.Second, envelope: 20 * time.Second} {
			p := w.Peer(t, addr, r)
			p.Send(call)
			p.Expect(greeting)
			if call != "" {
				p.Expect(accepted)
			}
			for range want/time.Second - 1 {
				wait(r, time.Second)
				p.Send("x")
			}
			if n, err := p.TryRead(make([]byte, 1)); err != kernel.ErrAgain {
				t.Errorf("%q: %d bytes and %v before the time was over", call, n, err)
			}
			wait(r, 2*time.Second)
			if got, err := p.Rest(); string(got) != "421 4.4.2 timeout\r\n" || err != io.EOF {
				t.Errorf("%q: got %q and %v", call, got, err)
			}
		}
	}
}

// wait lets time pass.
func wait(r *reactor.Reactor, d time.Duration) {
	over := false
	r.CallLater(d, func() { over = true })
	for !over {
		r.Turn(-1)
	}
}

// A client that reads no answers is not read either, also if messages were delivered meanwhile.
func TestHeldBack(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			c := reactor.ListenConfig{StreamConfig: reactor.StreamConfig{MaxBuffered: 200_000}}
			b := newBox()
			b.Deliver = func(mail.Message) error { return nil }
			p := w.Peer(t, listen(t, r, b, &c), r)
			call := []byte(envelope + ".\r\n" + strings.Repeat("NOOP\r\n", 1000))
			answer := accepted + "250 2.0.0 taken\r\n" + strings.Repeat("250 2.0.0 ok\r\n", 1000)
			sent := 0
			for stuck := 0; stuck < 50 && sent < 64<<20; {
				n, err := p.TryWrite(call[sent%len(call):])
				if sent += n; err != nil {
					if stuck++; !errors.Is(err, kernel.ErrAgain) {
						t.Fatal(err)
					}
				}
				testworld.Turns(t, r, 10)
			}
			if sent >= 64<<20 {
				t.Fatal("all was read")
			}
			p.Expect(greeting + strings.Repeat(answer, sent/len(call)))
		})
	}
}

// The end of the server waits for a message that is being delivered or sent.
func TestDrain(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			b, release := newBox(), make(chan bool)
			if deliver := b.Deliver; w.Simulated() { // there, blocking work takes virtual time, which may jump
				w.Alone()
				w.Net().Options.Work = sim.Latency{Min: time.Second, Max: time.Second}
			} else {
				b.Deliver = func(m mail.Message) error { <-release; return deliver(m) }
			}
			addr := listen(t, r, b, nil)
			idle, sending, delivering := w.Peer(t, addr, r), w.Peer(t, addr, r), w.Peer(t, addr, r)
			idle.Expect(greeting)
			sending.Send(envelope)
			sending.Expect(greeting + accepted)
			delivering.Send(envelope + ".\r\nNOOP\r\n")
			delivering.Expect(greeting + accepted)
			testworld.Turns(t, r, 20)
			aborted := -1
			r.Drain(reactor.DrainConfig{Done: func(n int) { aborted = n }})
			end := "421 4.3.2 closing down\r\n"
			if got, err := idle.Rest(); string(got) != end || err != io.EOF {
				t.Errorf("idle: %q, %v", got, err)
			}
			close(release)
			sending.Send(".\r\n")
			for _, p := range []*testworld.Peer{sending, delivering} {
				if got, err := p.Rest(); string(got) != "250 2.0.0 taken\r\n"+end || err != io.EOF {
					t.Errorf("got %q, %v", got, err)
				}
			}
			testworld.Until(t, func() bool { return aborted == 0 }, r)
		})
	}
}
