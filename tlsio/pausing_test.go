package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// pauses is a producer that writes when it is paused.
type pauses struct {
	on     func()
	paused int
}

func (p *pauses) PauseProducing()  { p.paused++; p.on() }
func (p *pauses) ResumeProducing() {}
func (p *pauses) StopProducing()   {}

// PROD-25: what a producer writes inside its pause comes whole, and stands before or behind the write that has paused it, not in it. The loop goes on.
func TestWriteInsidePause(t *testing.T) {
	for _, outer := range []int{100, 16 << 10, 300_000} {
		for i, inner := range []int{10, 20_000, 100_000, 10, 20_000, 100_000} {
			vec := i > 2
			stages(t, []int{0}, func(s *stage) {
				srv, cli := new(end), new(end)
				sc, cc := configs(tls.VersionTLS13)
				s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), nil))
				s.until(func() bool { return srv.saw("shaken") && cli.saw("shaken") })
				k, _ := reactor.As[reactor.Consumer](srv.tr)
				total := 0
				v, _ := reactor.As[reactor.Vectored](srv.tr)
				write := func(c byte, n int) {
					p := bytes.Repeat([]byte{c}, n)
					var err error
					if vec {
						_, err = v.WriteVec([][]byte{p[:n/2], p[n/2:]})
					} else {
						_, err = srv.tr.Write(p)
					}
					if err != nil {
						s.t.Error(err)
					}
					total += len(p)
				}
				x := &pauses{}
				x.on = func() { write('i', inner) }
				if err := k.RegisterProducer(x); err != nil {
					s.t.Fatal(err)
				}
				done := false
				s.srv.Post(func() {
					for n := 0; x.paused == 0 && n < 100<<20; n += outer {
						write('o', outer)
					}
					k.UnregisterProducer()
					done = true
				})
				s.until(func() bool { return done && len(cli.got) == total })
				at := bytes.IndexByte(cli.got, 'i')
				if x.paused == 0 || at < 0 || at%outer != 0 || bytes.Count(cli.got, []byte("i")) != inner || bytes.Count(cli.got[at:at+inner], []byte("i")) != inner {
					s.t.Errorf("PROD-25: %d in %d: the inner write stands at %d of %d bytes, paused %d times", inner, outer, at, total, x.paused)
				}
				srv.tr.Abort()
				s.until(func() bool { return srv.lost() && cli.lost() })
			})
		}
	}
}
