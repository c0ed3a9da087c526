package flow_test

import (
	"testing"
	"time"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/reactor"
)

// POL-12, POL-13: Close of a transport whose queue has expired meanwhile does not wait for it, and the peer gets what was sent, and the end.
func TestQueueExpiresClosing(t *testing.T) {
	r := virtual(t, reactor.Config{})
	srv, cli := new(app), new(app)
	cli.made = func(reactor.Transport) { cli.T.PauseProducing() }
	pair(t, r, reactor.One(srv), reactor.One(cli))
	q, err := flow.NewQueue(srv.T, &flow.QueueOptions{Policy: flow.DropOldest, MaxAge: time.Second, MaxBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	msg := make([]byte, 1<<16)
	for q.Stats().Queued < 40 {
		q.Send(msg)
	}
	srv.T.Close()
	pass(t, r, 3*time.Second)
	if s := q.Stats(); s.Expired == 0 || srv.lost() {
		t.Errorf("%+v, lost %v", s, srv.err)
	}
	began := r.Now()
	cli.T.ResumeProducing()
	until(t, r, func() bool { return srv.lost() && cli.lost() })
	if took := r.Now() - began; srv.err != reactor.ErrClosed || len(cli.got) != int(q.Stats().Sent)*len(msg) || took > 5*time.Second {
		t.Errorf("lost for %v and %v after %v; %d bytes of %d messages", srv.err, cli.err, took, len(cli.got), q.Stats().Sent)
	}
}
