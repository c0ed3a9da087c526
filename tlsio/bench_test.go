package tlsio_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// echo sends back what it hears.
type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { e.T.Write(p) }

// served is a reactor with an echo server on it, in Turn on the benchmark's goroutine.
func served(b *testing.B) (*reactor.Reactor, *reactor.Port, *tls.Config) {
	for _, w := range testworld.Worlds() {
		r := reactor.New(w.Open(b), reactor.Config{})
		b.Cleanup(r.Close)
		sc, cc := configs(tls.VersionTLS13)
		p, err := r.Listen(loopback(), tlsio.Server(sc, reactor.Each[echo](), nil), nil)
		if err != nil {
			b.Fatal(err)
		}
		return r, p, cc
	}
	b.Fatal("no kernel")
	return nil, nil, nil
}

// Handshakes from a client of package net, both sides' computing included.
func BenchmarkHandshake(b *testing.B) {
	r, p, cc := served(b)
	stop := false
	go func() {
		for range b.N {
			raw, err := net.Dial("tcp", p.Addr().String())
			if err != nil {
				b.Error(err)
				break
			}
			c := tls.Client(raw, cc)
			c.Handshake()
			c.Close()
		}
		r.Post(func() { stop = true })
	}()
	for !stop {
		r.Turn(-1)
	}
}

// Echoes of one size, one after the other, on one connection.
func BenchmarkEcho(b *testing.B) {
	for name, size := range map[string]int{"64": 64, "16K": 16 << 10, "256K": 256 << 10} {
		b.Run(name, func(b *testing.B) {
			r, p, cc := served(b)
			cli, want, rounds := new(end), make([]byte, size), 0
			cli.onShaken = func() { cli.c.Write(want) }
			got := 0
			cli.onData = func(p []byte) {
				cli.got = cli.got[:0]
				if got += len(p); got == size {
					got = 0
					rounds++
					cli.c.Write(want)
				}
			}
			r.Dial(p.Addr(), tlsio.Client(cc, one(cli), nil), nil, nil)
			for rounds == 0 {
				r.Turn(-1)
			}
			b.SetBytes(int64(2 * size))
			b.ReportAllocs()
			for want := rounds + b.N; rounds < want; {
				r.Turn(-1)
			}
			cli.c.Abort()
		})
	}
}
