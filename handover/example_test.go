package handover_test

import (
	"errors"

	"github.com/whorl-go/whorl/handover"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

func ExampleOffer() {
	offer := func(r *reactor.Reactor, path string, port *reactor.Port, predecessor *handover.Taking) error {
		_, err := handover.Offer(r, path, handover.OfferConfig{
			Sockets: func() []handover.Offered { return []handover.Offered{{Name: "http", Port: port}} },
			Handed: func(handover.Handed) { // the port has stopped accepting
				r.Drain(reactor.DrainConfig{Done: func(int) { r.Stop() }})
			},
			Taking: predecessor, // nil: this program was the first
		})
		return err
	}
	_ = offer
}

func ExampleTake() {
	take := func(r *reactor.Reactor, path string, listen func() error, offer func(*handover.Taking)) {
		handover.Take(r, path, handover.TakeConfig{
			Offered: func(t *handover.Taking) {
				if err := listen(); err != nil { // Reactor.Listen finds the sockets of the predecessor
					t.GiveUp(err)
					return
				}
				t.Ready()
			},
			Stopped: func(t *handover.Taking, err error) { offer(t) }, // err: the predecessor has died
			Failed: func(err error) {
				if !errors.Is(err, handover.ErrNobody) || listen() != nil {
					r.Stop()
					return
				}
				offer(nil) // this program is the first
			},
		})
	}
	_ = take
}

// unfinished is a protocol of lines.
type unfinished struct {
	reactor.Base
	line []byte // the beginning of one
}

func (p *unfinished) DataReceived(b []byte) { p.line = append(p.line, b...) }

func (p *unfinished) Handover() ([]byte, error) { return p.line, nil }

type factory struct{}

func (factory) BuildProtocol(kernel.Addr) reactor.Protocol { return &unfinished{} }

func (factory) Resume(state []byte, peer kernel.Addr) (reactor.Protocol, error) {
	return &unfinished{line: state}, nil
}

func ExampleMover() {
	var _ handover.Mover = (*unfinished)(nil)
	var _ handover.Resumer = factory{}
}
