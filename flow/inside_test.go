package flow_test

import (
	"strings"
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// watch is a traffic log of what is received.
type watch func(p []byte)

func (w watch) Received(p []byte) { w(p) }
func (w watch) Sent([]byte)       {}
func (w watch) Lost(error)        {}

// A traffic log may end the connection, for what it has seen: the protocol does not get that.
func TestTrafficLogEnds(t *testing.T) {
	for what, end := range map[string]func(t reactor.Transport){
		"abort": func(t reactor.Transport) { t.Abort() },
		"close": func(t reactor.Transport) { t.Close() },
	} {
		worlds(t, func(t *testing.T, w testworld.World) {
			r := w.New(t, reactor.Config{})
			a := new(app)
			port := listen(t, r, flow.LogTraffic(reactor.One(a), func(_ int, c reactor.Transport) flow.TrafficLog {
				return watch(func(p []byte) {
					if strings.Contains(string(p), "bad") {
						end(c)
					}
				})
			}))
			w.Peer(t, port.Addr(), r).Send("bad")
			testworld.Until(t, a.lost, r)
			if a.got != "" {
				t.Errorf("%s: the protocol got %q", what, a.got)
			}
		})
	}
}
