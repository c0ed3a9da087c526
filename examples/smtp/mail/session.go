package mail

import (
	"bytes"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/tlsio"
)

const (
	maxCommand  = 2048 // bytes; RFC 5321 demands 512, and more for extensions
	maxDataLine = 8192
)

// session is one connection.
type session struct {
	receiver.Line
	server *Server
	limit  reactor.DelayedCall
	secure bool
	ending bool
	busy   bool // a message is being delivered
	lost   bool

	helo    string
	sender  bool // there was a MAIL
	message Message
	refused string // why the message in progress will not be taken
}

func (x *session) ConnectionMade(t reactor.Transport) {
	x.MaxLength = maxCommand
	x.limit.Init(t.Reactor(), x.late)
	x.Line.ConnectionMade(t)
	x.T.RegisterProducer(x) // who does not read the answers is not read
	x.reply("220 " + x.server.Name + " ESMTP")
	x.next()
}

func (x *session) ConnectionLost(err error) {
	x.lost = true
	x.limit.Cancel()
	x.Line.ConnectionLost(err)
}

func (x *session) reply(line string) { x.SendLine([]byte(line)) }

func (x *session) late() {
	x.reply("421 4.4.2 timeout")
	x.T.Close()
}

// Drain lets a message that has begun be completed.
func (x *session) Drain() {
	if x.ending = true; !x.busy && !x.inData() {
		x.bye()
	}
}

func (x *session) bye() {
	x.reply("421 4.3.2 closing down")
	x.T.Close()
}

func (x *session) inData() bool { return x.MaxLength == maxDataLine }

// next waits for a command.
func (x *session) next() {
	if x.ending {
		x.bye()
		return
	}
	x.limit.Reset(or(x.server.CommandTime, 5*time.Minute))
}

// reset forgets the message in progress.
func (x *session) reset() { x.sender, x.message, x.refused = false, Message{}, "" }

func (x *session) tooLong(rest []byte) {
	if x.SkipLine(rest); x.inData() {
		x.refused = "554 5.6.0 a line is too long"
		return
	}
	x.reply("500 5.5.2 line too long")
	x.next()
}

// startTLS protects the connection. What the client has sent behind the command came in clear,
// perhaps from somebody else: with it the connection ends.
func (x *session) startTLS() {
	x.reply("220 2.0.0 go ahead")
	conn, err := tlsio.StartServer(x.T, x.server.TLS, nil, x.Rest(), nil)
	if err != nil {
		x.T.Abort()
		return
	}
	x.Line.ConnectionMade(conn) // T and SendLine are those of conn from here on
	x.secure = true
	x.helo = "" // what was said in clear does not count
	x.reset()
}

// startData reads a message.
func (x *session) startData() {
	x.reply("354 end with .")
	x.LineReceived, x.MaxLength = x.dataLine, maxDataLine
	x.limit.Reset(or(x.server.DataTime, 10*time.Minute))
}

func (x *session) dataLine(line []byte) {
	if len(line) == 1 && line[0] == '.' {
		x.dataEnd()
		return
	}
	line = bytes.TrimPrefix(line, []byte("."))
	m := &x.message
	switch {
	case x.refused != "":
	case bytes.ContainsAny(line, "\r\n"): // others may see a line end here, and then a command
		x.refused = "554 5.6.0 a bare CR or LF"
	case len(m.Data)+len(line)+2 > or(x.server.MaxMessage, 10<<20):
		x.refused = "552 5.3.4 the message is too long"
	default:
		m.Data = append(append(m.Data, line...), "\r\n"...)
		return
	}
	m.Data = nil
}

func (x *session) dataEnd() {
	x.LineReceived, x.MaxLength = x.command, maxCommand
	m, refused := x.message, x.refused
	if x.reset(); refused != "" {
		x.reply(refused)
		x.next()
		return
	}
	m.Peer, m.Helo, m.TLS = x.T.Remote(), x.helo, x.secure
	x.limit.Cancel()
	x.busy = true
	x.Hold() // the commands behind it wait
	reactor.InThread(x.T.Reactor(), func() (struct{}, error) { return struct{}{}, x.server.Deliver(m) }, x.delivered)
}

func (x *session) delivered(_ struct{}, err error) {
	if x.busy = false; x.lost {
		return
	}
	if err != nil {
		x.reply("451 4.3.0 the message could not be stored, try again later")
	} else {
		x.reply("250 2.0.0 taken")
	}
	x.next()
	x.Release()
}
