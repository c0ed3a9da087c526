package flow

import (
	"errors"
	"fmt"
	"io"

	"github.com/whorl-go/whorl/reactor"
)

// Sink takes bytes, and the producer of them. Every [reactor.Connection] is one.
type Sink interface {
	io.Writer
	reactor.Consumer
}

// SinkOf makes a Sink of a protocol (PROTO-6): Write calls DataReceived of p, and takes all of it. The error is always nil. The methods
// are for the loop's goroutine.
//
// p keeps its transport, if it has one, and the Sink calls nothing else of p. So ConnectionMade must have been called if p needs it, and Write must
// not be called after ConnectionLost, nor inside DataReceived of p.
//
// DataReceived leaves nothing to be taken later. So a producer is never paused, resumed or stopped. There is one at a time nevertheless:
// a second one is refused with reactor.ErrProducerRegistered, because its bytes would come between those of the first.
func SinkOf(p reactor.Protocol) Sink {
	if p == nil {
		panic("flow: SinkOf without a Protocol")
	}
	return &protocolSink{p: p}
}

type protocolSink struct {
	p        reactor.Protocol
	producer reactor.Producer
}

func (s *protocolSink) Write(p []byte) (int, error) {
	s.p.DataReceived(p)
	return len(p), nil
}

func (s *protocolSink) RegisterProducer(p reactor.Producer) error {
	if s.producer != nil {
		return fmt.Errorf("%w: %T is, %T wants to be", reactor.ErrProducerRegistered, s.producer, p)
	}
	s.producer = p
	return nil
}

func (s *protocolSink) UnregisterProducer() { s.producer = nil }

// ProtocolOf makes a protocol of a Sink, for one connection (PROTO-6): what is received is written to s. All is called on the loop's
// goroutine, so s must belong to the same reactor as the connection.
//
// The connection is the producer of s from ConnectionMade to ConnectionLost. So an s that takes no more holds the peer back, and an s that is
// lost closes the connection (PROD-13). An s whose RegisterProducer returns errors.ErrUnsupported does not hold the peer back.
// The end of the connection ends nothing of s, which may get more by another one.
//
// If s has another producer, or if a Write fails, the connection is aborted: the peer shall not believe that its bytes have arrived.
//
// lost, unless nil, is called once, when the connection is lost and s has no producer any more. err is that of RegisterProducer or of Write
// if it has ended the connection, and otherwise the reason of the loss: io.EOF if the peer has ended in order, and then s got all that it sent.
func ProtocolOf(s Sink, lost func(err error)) reactor.Protocol {
	if s == nil {
		panic("flow: ProtocolOf without a Sink")
	}
	return &sinkProtocol{sink: s, lost: lost}
}

type sinkProtocol struct {
	sink       Sink
	lost       func(err error)
	t          reactor.Transport
	registered bool
	err        error // why the connection was aborted
}

func (p *sinkProtocol) ConnectionMade(t reactor.Transport) {
	p.t = t
	switch err := p.sink.RegisterProducer(reactor.ConnectionOf(t)); {
	case err == nil:
		p.registered = true
	case !errors.Is(err, errors.ErrUnsupported):
		p.fail(err)
	}
}

func (p *sinkProtocol) DataReceived(b []byte) {
	n, err := p.sink.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		p.fail(err)
	}
}

func (p *sinkProtocol) fail(err error) {
	p.err = err
	p.t.Abort()
}

func (p *sinkProtocol) ConnectionLost(err error) {
	if p.registered {
		p.sink.UnregisterProducer()
	}
	if p.err != nil {
		err = p.err
	}
	if p.lost != nil {
		p.lost(err)
	}
}
