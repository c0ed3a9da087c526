package process

import (
	"github.com/whorl-go/whorl/reactor"
)

// pipe is one pipe of a child, or the master of its terminal, as the protocol of its stream.
type pipe struct {
	c        *Child
	s        *reactor.Stream
	number   int32
	writes   bool
	terminal bool
	lost     bool
}

// protocol is that of the stream. own is that of File.For, or nil.
func (p *pipe) protocol(own reactor.Protocol) reactor.Protocol {
	if own != nil {
		return &ownPipe{own, p}
	}
	return p
}

func (p *pipe) ConnectionMade(reactor.Transport) {}

// DataReceived passes b to the protocol of the child. A panic in it ends this pipe.
func (p *pipe) DataReceived(b []byte) {
	c := p.c
	switch {
	case c.proto == nil:
	case p.number == 1 && c.output != nil:
		c.output.OutputReceived(b)
	case p.number == 2 && c.errors != nil:
		c.errors.ErrorReceived(b)
	default:
		c.proto.DataReceived(int(p.number), b)
	}
}

func (p *pipe) ConnectionLost(err error) {
	if !p.terminal { // PROC-49
		p.c.call(func() { p.c.proto.PipeLost(int(p.number), err) })
	}
	p.gone()
}

// gone counts the end of the pipe.
func (p *pipe) gone() {
	if !p.lost {
		p.lost = true
		p.c.open--
		p.c.finish()
	}
}

func (p *pipe) LogPrefix() string { return p.c.LogPrefix() }

// ownPipe is the protocol of File.For, which counts the end of the pipe.
type ownPipe struct {
	reactor.Protocol
	p *pipe
}

// Unwrap is the protocol of File.For.
func (i *ownPipe) Unwrap() reactor.Protocol { return i.Protocol }

func (i *ownPipe) ConnectionLost(err error) {
	defer i.p.gone()
	i.Protocol.ConnectionLost(err)
}
