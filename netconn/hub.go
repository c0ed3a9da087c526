package netconn

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/whorl-go/whorl/internal/linked"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
)

// hub is where the goroutines of all Conns of a reactor hand their work to its loop. A Conn with
// work stands in queue once. The first one posts run, so one posted function, and at most one
// wake-up of the loop, serves all of them.
type hub struct {
	r       *reactor.Reactor
	run     func()
	buffers sync.Pool   // of *buffer
	virtual bool        // time of the loop is simulated
	yields  atomic.Bool // the loop's goroutine lets others run, so whoever looks here is another one

	mu     sync.Mutex
	queue  []*Conn
	posted bool // run is in the reactor's queue

	// For the loop alone.
	batch   []*Conn           // is being served; queue reuses its memory afterwards
	at      int               // the next of batch
	serving *Conn             // its serve is in progress
	woken   bool              // goroutines were woken since run was last called
	live    linked.List[Conn] // the Conns that are not lost
}

// hubOf returns the hub of r. It is for the loop's goroutine.
func hubOf(r *reactor.Reactor) *hub { return reactor.Shared(r, func() *hub { return newHub(r) }) }

func newHub(r *reactor.Reactor) *hub {
	h := &hub{r: r, live: linked.New(func(c *Conn) *linked.Links[Conn] { return &c.links })}
	_, h.virtual = kernel.As[kernel.Worker](r.Kernel())
	h.run = h.serve
	go h.watch()
	return h
}

// watch ends the calls that wait when the reactor has stopped without telling its connections,
// because a callback has ended the loop's goroutine. After an orderly end there are none.
func (h *hub) watch() {
	<-h.r.Done()
	for c := h.live.First(); c != nil; c = h.live.Next(c) {
		c.out.lost(reactor.ErrStopped)
		c.in.lost(reactor.ErrStopped)
	}
}

// onLoop tells whether the caller is in a callback of the loop, for which it must not wait. The reactor looks at the stack to know, which takes as long as a small
// message.
func (h *hub) onLoop() bool { return !h.yields.Load() && h.r.OnLoop() }

// add has c.serve called on the loop. It may be called from any goroutine, and with a lock of c.
func (h *hub) add(c *Conn) {
	if c.queued.Swap(true) {
		return
	}
	h.post(c)
}

// post has the queue served on the loop, with c at its end if c is not nil.
func (h *hub) post(c *Conn) {
	h.mu.Lock()
	if c != nil {
		h.queue = append(h.queue, c)
	}
	post := !h.posted
	h.posted = true
	h.mu.Unlock()
	if post {
		h.r.Post(h.run)
	}
}

// wakes notes that the loop has woken a goroutine. It is for the loop.
func (h *hub) wakes() {
	if h.woken {
		return
	}
	h.woken = true
	h.post(nil)
}

// serve serves the Conns that stand in the queue. Before, it lets the goroutines run that were
// woken since the last time: what they write is then sent in this turn, and needs no wake-up.
func (h *hub) serve() {
	if h.woken {
		h.woken = false
		h.yields.Store(true)
		runtime.Gosched()
		h.yields.Store(false)
	}
	h.mu.Lock()
	if h.at == len(h.batch) {
		h.queue, h.batch, h.at = h.batch[:0], h.queue, 0
	}
	h.posted = len(h.queue) > 0
	again := h.posted
	h.mu.Unlock()
	if again {
		h.r.Post(h.run)
	}
	defer h.served()
	for h.at < len(h.batch) {
		c := h.batch[h.at]
		h.batch[h.at] = nil
		h.at++
		c.queued.Store(false)
		h.serving = c
		c.serve()
	}
	h.serving = nil
}

// served follows a panic of a transport, which ends that connection. The rest of the batch is served later.
func (h *hub) served() {
	c := h.serving
	if c == nil {
		return
	}
	h.serving = nil
	h.post(nil)
	if c.t != nil {
		c.t.Abort()
	}
}

// buffer holds bytes between a goroutine and the loop. The bytes from at on are not used up.
type buffer struct {
	b  []byte
	at int
}

const (
	// smallBuffer is the capacity of a new buffer in bytes.
	smallBuffer = 4 << 10
	// largeBuffer is the greatest capacity that is kept for others.
	largeBuffer = 512 << 10
)

// put appends p to the buffer b, which may be nil, and returns the buffer.
func (h *hub) put(b *buffer, p []byte) *buffer {
	if b == nil {
		var ok bool
		if b, ok = h.buffers.Get().(*buffer); !ok {
			b = &buffer{b: make([]byte, 0, max(smallBuffer, len(p)))}
		}
	}
	if b.at > 0 && len(b.b)+len(p) > cap(b.b) {
		b.b, b.at = append(b.b[:0], b.rest()...), 0 // otherwise a reader that never empties it would have it grow for ever
	}
	b.b = append(b.b, p...)
	return b
}

// release gives a buffer back that is not needed any more. It may be nil.
func (h *hub) release(b *buffer) {
	if b != nil && cap(b.b) <= largeBuffer {
		b.b, b.at = b.b[:0], 0
		h.buffers.Put(b)
	}
}

// rest are the bytes that are not used up.
func (b *buffer) rest() []byte {
	if b == nil {
		return nil
	}
	return b.b[b.at:]
}
