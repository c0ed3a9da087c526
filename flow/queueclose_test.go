package flow_test

import (
	"errors"
	"strings"
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

// POL-13: keys count against the bound as messages do, where they are kept.
func TestQueueKeysBounded(t *testing.T) {
	key := strings.Repeat("k", 100)
	q, s := queue(t, flow.QueueOptions{Policy: flow.KeepLatest, MaxBytes: 3 * (100 + cost)})
	q.Send([]byte("0"))
	for i := range 10 {
		if err := q.SendKeyed(key[1:]+string(rune('a'+i)), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := q.Stats(), (flow.QueueStats{Sent: 1, Dropped: 7, DroppedBytes: 7, Queued: 3, QueuedBytes: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := q.SendKeyed(strings.Repeat("k", 1000), []byte("x")); !errors.Is(err, flow.ErrQueueFull) {
		t.Error(err)
	}
	if err := q.SendKeyed(key[1:]+"j", []byte("yy")); err != nil || q.Stats().QueuedBytes != 3 { // the oldest goes for it
		t.Errorf("%v, %+v", err, q.Stats())
	}
	s.fast = true
	s.producer.ResumeProducing()
	if got := q.Stats(); got.Queued != 0 || got.QueuedBytes != 0 {
		t.Errorf("%+v", got)
	}

	q, _ = queue(t, flow.QueueOptions{Policy: flow.DropOldest, MaxBytes: 3 * cost})
	q.Send([]byte("0"))
	if err := q.SendKeyed(key, []byte("x")); err != nil || q.Stats().Queued != 1 {
		t.Errorf("a key without a meaning: %v", err)
	}
}
