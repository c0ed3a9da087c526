package sim_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
)

// asker says a line a second, when the one before came back. It connects again when it
// loses the connection, and gives one up on which no answer comes.
type asker struct {
	reactor.Base
	host     *sim.Host
	to       kernel.Addr
	asked    int
	got      bytes.Buffer
	err      error
	again    reactor.DelayedCall
	next     reactor.DelayedCall
	patience reactor.DelayedCall
}

const questions = 20

func (p *asker) start(h *sim.Host) {
	p.host = h
	p.again.Init(h.Reactor, p.connect)
	p.next.Init(h.Reactor, p.ask)
	p.patience.Init(h.Reactor, func() { p.T.Abort() })
	p.connect()
}

func (p *asker) connect() {
	p.host.Reactor.Dial(p.to, single(p), nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			p.again.Reset(time.Second)
		}
	})
}

func (p *asker) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	p.got.Reset()
	p.ask()
}

func (p *asker) ask() {
	if p.asked < questions {
		fmt.Fprintf(p.T, "question %d\n", p.asked)
		p.patience.Reset(15 * time.Second)
	}
}

func (p *asker) DataReceived(b []byte) {
	p.got.Write(b)
	want := fmt.Sprintf("question %d\n", p.asked)
	switch {
	case !strings.HasPrefix(want, p.got.String()):
		p.err = fmt.Errorf("asked %q, heard %q", want, p.got.String())
	case p.got.Len() == len(want):
		p.got.Reset()
		p.asked++
		p.patience.Cancel()
		p.next.Reset(time.Second)
	}
}

func (p *asker) ConnectionLost(error) {
	p.next.Cancel()
	p.patience.Cancel()
	p.again.Reset(time.Second)
}

// echoWorld is a server that echoes and two clients that ask.
func echoWorld() sim.World {
	return sim.World{
		Name: "echo", About: "two clients ask a server that echoes",
		Setup: func(n *sim.Net) sim.Checks {
			n.Config.ReadBuffer = readBuffer
			srv := n.Host("srv")
			srv.Start(func(h *sim.Host) {
				if _, err := h.Reactor.Listen(h.Addr(7), echoes(), nil); err != nil {
					panic(err)
				}
			})
			var all []*asker
			for i := range 2 {
				all = append(all, nil)
				asked := 0 // before a crash
				n.Host(fmt.Sprintf("cli%d", i)).Start(func(h *sim.Host) {
					if all[i] != nil {
						asked = all[i].asked
					}
					all[i] = &asker{to: srv.Addr(7), asked: asked}
					all[i].start(h)
				})
			}
			return sim.Checks{
				Always: func() error {
					for _, p := range all {
						if p != nil && p.err != nil {
							return p.err
						}
					}
					return nil
				},
				Done: func() bool { return all[0].asked+all[1].asked == 2*questions },
			}
		},
	}
}

func TestEchoWorld(t *testing.T) { sim.Test(t, echoWorld(), 5*seeds) }
