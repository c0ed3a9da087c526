package rpc

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// asker calls more than it reads, when it reads at all: one piece each time it is asked to.
type asker struct {
	reactor.Base
	err error
}

func (a *asker) DataReceived([]byte)      { a.T.PauseProducing() }
func (a *asker) ConnectionLost(err error) { a.err = err }

// A client that reads none of its answers is not read any more, and so not silent. It is left like one that is. One that reads some now and then stays.
func TestDeaf(t *testing.T) {
	for _, reads := range []bool{false, true} {
		r := testworld.Simulation().Alone().New(t, reactor.Config{ReadBuffer: 64 << 10})
		port := listen(t, r, &Server{Handlers: everything(), Beat: time.Second})
		a := new(asker)
		r.Dial(port.Addr(), reactor.One(a), nil, nil)
		testworld.Until(t, func() bool { return a.T != nil }, r)
		a.T.PauseProducing()
		call := text(message{ID: 1, Method: "echo", Params: json.RawMessage(`"` + strings.Repeat("x", 1000) + `"`)})
		a.T.Write([]byte(strings.Repeat(call, 2000)))
		if reads {
			defer r.Every(time.Second, a.T.ResumeProducing).Stop()
		}
		at := r.Now() + 20*time.Second
		defer r.CallLater(20*time.Second, func() {}).Cancel()
		testworld.Until(t, func() bool { return r.Now() >= at }, r)
		if open := port.Stats().Open; (open == 1) != reads {
			t.Errorf("a client that reads %v: %d connections are left, and its loss is %v", reads, open, a.err)
		}
		a.T.Abort()
		testworld.Until(t, func() bool { return r.Stats().Connections == 0 }, r)
	}
}
