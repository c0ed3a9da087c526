//go:build !race

// The test has one goroutine and moves much. The race detector could find nothing here.

package receiver_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
	"github.com/whorl-go/whorl/testworld"
)

// LINE-16: a receiver that is the producer of its own connection holds a client back that does
// not read its answers, and a Close does not wait for it.
func TestLINE16OwnProducer(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			const high, requests = 8 << 10, 4000
			r := w.New(t, reactor.Config{ReadBuffer: 4 << 10})
			answer := []byte(strings.Repeat("x", 4<<10))
			lines, most := 0, 0
			var lost error
			var s *reactor.Stream
			l := &receiver.Line{Lost: func(err error) { lost = err }}
			l.Made = func() {
				s, _ = reactor.As[*reactor.Stream](l.T)
				if err := s.RegisterProducer(l); err != nil {
					t.Error(err)
				}
			}
			l.LineReceived = func(line []byte) {
				lines++
				l.SendLine(answer)
				if most = max(most, s.Stats().Buffered); string(line) == "quit" {
					l.T.Close()
				}
			}
			port, err := r.Listen(kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), reactor.One(l),
				&reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: high, CloseTimeout: time.Second}})
			if err != nil {
				t.Fatal(err)
			}
			p := w.Peer(t, port.Addr(), r)
			ask := []byte(strings.Repeat("ask\r\n", requests) + "quit\r\n")
			for before := -1; before != lines; { // until nothing moves any more
				before = lines
				for range 20 {
					n, _ := p.TryWrite(ask)
					ask = ask[n:]
					testworld.Turns(t, r, 5)
				}
			}
			if lines > requests*9/10 {
				t.Errorf("LINE-16: %d of %d requests were answered to a client that reads nothing", lines, requests)
			}
			got := 0
			for buf := make([]byte, 64<<10); ; {
				n, err := p.Read(buf)
				if got += n; err != nil {
					break
				}
				n, _ = p.TryWrite(ask)
				ask = ask[n:]
			}
			if want := (requests + 1) * (len(answer) + 2); got != want || !errors.Is(lost, reactor.ErrClosed) {
				t.Errorf("LINE-16: %d of %d bytes of answers; lost with %v", got, want, lost)
			}
			if bound := high + 2*(len(answer)+2) + 16<<10; most > bound {
				t.Errorf("LINE-16: %d bytes were buffered, want at most %d", most, bound)
			}
		})
	}
}

// onlyTransport is a protocol that only has its transport.
type onlyTransport struct {
	reactor.Base
	lost error
}

func (*onlyTransport) DataReceived([]byte)        {}
func (p *onlyTransport) ConnectionLost(err error) { p.lost = err }

// LINE-16: a receiver that is the producer of another connection holds its client back as long as
// nobody reads there. A Close of the other connection does not wait for it when its own has ended.
func TestLINE16ProducerOfAnother(t *testing.T) {
	ends := map[string]func(p *testworld.Peer, l *receiver.Line){
		"its peer ends": func(p *testworld.Peer, _ *receiver.Line) { p.CloseWrite() },
		"it is closing": func(_ *testworld.Peer, l *receiver.Line) { l.T.Close() },
	}
	for how, end := range ends {
		for name, w := range testworld.Worlds() {
			t.Run(how+"/"+name, func(t *testing.T) {
				const high, requests, limit = 8 << 10, 4000, time.Minute
				r := w.New(t, reactor.Config{ReadBuffer: 4 << 10})
				loopback := kernel.TCPAddr(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0)
				cfg := &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{HighWater: high, CloseTimeout: limit}}
				connect := func(p reactor.Protocol) *testworld.Peer {
					port, err := r.Listen(loopback, reactor.One(p), cfg)
					if err != nil {
						t.Fatal(err)
					}
					return w.Peer(t, port.Addr(), r)
				}
				to := new(onlyTransport)
				reader := connect(to)
				testworld.Until(t, func() bool { return to.T != nil }, r)
				record := []byte(strings.Repeat("x", 4<<10))
				lines, most, lost := 0, 0, false
				l := &receiver.Line{Lost: func(error) { lost = true }}
				l.Made = func() {
					if err := to.T.RegisterProducer(l); err != nil {
						t.Error(err)
					}
				}
				l.LineReceived = func([]byte) {
					lines++
					to.T.Write(record)
					most = max(most, to.T.Buffered())
				}
				writer := connect(l)
				ask := []byte(strings.Repeat("ask\r\n", requests))
				feed := func() {
					n, _ := writer.TryWrite(ask)
					ask = ask[n:]
				}
				for before := -1; before != lines; { // until nothing moves any more
					before = lines
					for range 20 {
						feed()
						testworld.Turns(t, r, 5)
					}
				}
				if lines == 0 || lines > requests*9/10 {
					t.Errorf("LINE-16: %d of %d lines came, and nobody reads what they cause", lines, requests)
				}
				got, buf := 0, make([]byte, 64<<10)
				read := func() bool {
					n, err := reader.Read(buf)
					got += n
					return err == nil
				}
				for got < requests*len(record) && read() {
					feed()
				}
				if bound := high + len(record) + 16<<10; lines != requests || most > bound {
					t.Errorf("LINE-16: %d of %d lines came; %d bytes were buffered, want at most %d", lines, requests, most, bound)
				}
				end(writer, l)
				testworld.Until(t, func() bool { return lost || !l.Producing() }, r)
				began := r.Now()
				to.T.Close()
				testworld.Until(t, func() bool { return to.lost != nil }, r)
				if to.lost != reactor.ErrClosed || r.Now()-began >= limit {
					t.Errorf("LINE-16: lost with %v after %v", to.lost, r.Now()-began)
				}
			})
		}
	}
}
