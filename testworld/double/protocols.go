package double

import (
	"strings"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// Accumulator is a protocol that keeps what it receives, and how its connection began and ended. The zero value is ready.
// It is a half-closer's peer like any other: the end of the peer is the end of the connection.
type Accumulator struct {
	reactor.Base
	// OnMade, OnData and OnLost, if not nil, are called in the callbacks, at their end. OnData gets what has come just now.
	OnMade func()
	OnData func(p []byte)
	OnLost func(err error)

	made int
	data []byte
	err  error
}

// ConnectionMade implements reactor.Protocol.
func (a *Accumulator) ConnectionMade(t reactor.Transport) {
	a.Base.ConnectionMade(t)
	a.made++
	if a.OnMade != nil {
		a.OnMade()
	}
}

// DataReceived implements reactor.Protocol.
func (a *Accumulator) DataReceived(p []byte) {
	a.data = append(a.data, p...)
	if a.OnData != nil {
		a.OnData(p)
	}
}

// ConnectionLost implements reactor.Protocol.
func (a *Accumulator) ConnectionLost(err error) {
	a.err = err
	if a.OnLost != nil {
		a.OnLost(err)
	}
}

// Data is all that was received.
func (a *Accumulator) Data() string { return string(a.data) }

// Made is how often ConnectionMade was called.
func (a *Accumulator) Made() int { return a.made }

// Lost tells whether the connection has ended.
func (a *Accumulator) Lost() bool { return a.err != nil }

// Err is what ConnectionLost was told; nil while the connection lasts.
func (a *Accumulator) Err() error { return a.err }

// Accumulators is a factory of Accumulators, which it keeps. The zero value is ready.
type Accumulators struct {
	// All are those that were built, in order.
	All []*Accumulator
	// Peers are the addresses for which they were built.
	Peers []kernel.Addr
}

// BuildProtocol implements reactor.Factory.
func (f *Accumulators) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	a := new(Accumulator)
	f.All = append(f.All, a)
	f.Peers = append(f.Peers, peer)
	return a
}

// NewLines returns a protocol that sends lines when it is connected, each with CR LF behind it, and keeps the lines that
// it receives.
func NewLines(lines ...string) *Lines {
	l := &Lines{send: lines}
	l.Line = &receiver.Line{LineReceived: func(line []byte) { l.Received = append(l.Received, string(line)) }}
	return l
}

// Lines is the protocol of [NewLines].
type Lines struct {
	*receiver.Line
	// Received are the lines that have come, without their ends.
	Received []string
	send     []string
}

// ConnectionMade implements reactor.Protocol.
func (l *Lines) ConnectionMade(t reactor.Transport) {
	l.Line.ConnectionMade(t)
	if len(l.send) > 0 {
		_, _ = t.Write([]byte(strings.Join(l.send, "\r\n") + "\r\n")) // a lost connection is told to ConnectionLost
	}
}
