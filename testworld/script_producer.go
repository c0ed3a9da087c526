package testworld

import "github.com/whorl-go/whorl/reactor"

// producer writes the pattern on an end of a script. It notes calls that the water marks
// do not explain.
type producer struct {
	e       *end
	pull    bool
	posted  bool // pull: the next piece is posted
	left    int
	piece   int
	held    bool
	stopped bool
}

var _ reactor.Producer = (*producer)(nil)

// register registers it with its end, and begins to write.
func (w *producer) register() {
	refused := false
	w.e.try("producer", func() error {
		k, err := ability[reactor.Consumer](w.e.t)
		if err == nil {
			err = k.RegisterProducer(w)
		}
		refused = err != nil
		return err
	})
	if !refused && !w.stopped && w.piece > 0 {
		w.produce()
	}
}

// produce writes until it is paused. A pull producer writes one piece and posts the next.
func (w *producer) produce() {
	for !w.held && !w.stopped && w.left > 0 {
		n := min(w.piece, w.left)
		w.left -= n
		w.e.try("write", func() error { _, err := w.e.t.Write(w.e.bytes(payload{n: n})); return err })
		if w.left == 0 {
			w.stopped = true
			w.note("finished")
			if k, err := ability[reactor.Consumer](w.e.t); err == nil {
				k.UnregisterProducer()
			}
			w.e.happened("finished")
			return
		}
		if w.pull {
			if !w.posted {
				w.posted = true
				w.e.g.r.Post(func() { w.posted = false; w.produce() })
			}
			return
		}
	}
}

// note notes something once: no promise says how often a producer is paused.
func (w *producer) note(what string) {
	if !w.e.hides("producing") {
		w.e.produced.once(what)
	}
}

// PauseProducing implements reactor.Producer.
func (w *producer) PauseProducing() {
	switch {
	case w.stopped:
		w.note("paused after the end")
	case w.held:
		w.note("paused twice")
	}
	w.held = true
	w.note("paused")
	w.e.happened("paused")
}

// ResumeProducing implements reactor.Producer.
func (w *producer) ResumeProducing() {
	switch {
	case w.stopped:
		w.note("resumed after the end")
	case !w.held:
		w.note("resumed unasked")
	}
	w.held = false
	w.note("resumed")
	w.e.happened("resumed")
	if w.piece > 0 {
		w.produce()
	}
}

// StopProducing implements reactor.Producer.
func (w *producer) StopProducing() {
	if w.stopped {
		w.note("stopped after the end")
	}
	w.stopped = true
	w.e.log.note("producer stopped") // before ConnectionLost (PROD-6)
	w.e.happened("stopped")
}
