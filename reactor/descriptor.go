package reactor

import (
	"io"

	"github.com/whorl-go/whorl/kernel"
)

// FileDescriptor is something with a descriptor of its own that the reactor may
// watch. It must be of a comparable type. All its methods are called on the loop's
// goroutine.
type FileDescriptor interface {
	// Fileno is the descriptor. It is the same as long as the thing is open, and
	// -1 when it is not (FDS-7). It is not called after the last removal (FDS-6).
	Fileno() int
	// ConnectionLost comes once and last, after the reactor has forgotten it.
	ConnectionLost(err error)
}

// ReadDescriptor is a FileDescriptor to read from.
type ReadDescriptor interface {
	FileDescriptor
	// DoRead is called in each turn in which there may be something to read. It
	// must not block. nil is well; an error ends the descriptor with it: io.EOF is
	// the clean end, and with a [HalfCloseDescriptor] only of reading (FDS-8, FDS-9).
	DoRead() error
}

// WriteDescriptor is a FileDescriptor to write to.
type WriteDescriptor interface {
	FileDescriptor
	// DoWrite is called in each turn in which there may be room. It must not
	// block. nil is well; an error ends the descriptor with it (FDS-8).
	DoWrite() error
}

// HalfCloseDescriptor is what a FileDescriptor may also be, to outlive the end of
// its input.
type HalfCloseDescriptor interface {
	// ReadConnectionLost is called instead of ConnectionLost when DoRead has
	// returned io.EOF; reading stops and writing goes on.
	ReadConnectionLost(err error)
}

// watches knows the foreign descriptors: who they are, and by which number.
type watches struct {
	byDescriptor map[FileDescriptor]*watch
	byFD         map[int]*watch
}

// watch is one foreign descriptor, with a reader and a writer, which may be two
// objects (FDS-17).
type watch struct {
	r      *Reactor
	conn   kernel.Conn
	fd     int
	token  uint32
	reader ReadDescriptor
	writer WriteDescriptor
	// handling is whose handler is being called.
	handling FileDescriptor
}

// AddReader has d.DoRead called when there may be something to read, in every turn
// until it is removed (FDS-1). Adding it twice is once (FDS-3). If its number belonged to
// another reader, that one's descriptor was closed behind the reactor's back, and
// it is told so (FDS-30). An error is the kernel's: kernel.ErrBadDescriptor,
// kernel.ErrUnsupported; or ErrStopped, when the reactor ends.
func (r *Reactor) AddReader(d ReadDescriptor) error {
	w, err := r.watchOf(d)
	if err != nil {
		return err
	}
	if w.reader != nil && w.reader != d {
		r.replaced(w.reader)
		if w, err = r.watchOf(d); err != nil {
			return err
		}
	}
	was := w.reader
	w.reader = d
	return w.join(d, func() { w.reader = was })
}

// AddWriter has d.DoWrite called when there may be room to write. It is as
// AddReader in the rest.
func (r *Reactor) AddWriter(d WriteDescriptor) error {
	w, err := r.watchOf(d)
	if err != nil {
		return err
	}
	if w.writer != nil && w.writer != d {
		r.replaced(w.writer)
		if w, err = r.watchOf(d); err != nil {
			return err
		}
	}
	was := w.writer
	w.writer = d
	return w.join(d, func() { w.writer = was })
}

// RemoveReader ends what AddReader began. One that is not there is ignored
// (FDS-3).
func (r *Reactor) RemoveReader(d ReadDescriptor) {
	if w := r.watches.byDescriptor[d]; w != nil && w.reader == d {
		w.reader = nil
		w.changed(d)
	}
}

// RemoveWriter ends what AddWriter began. One that is not there is ignored.
func (r *Reactor) RemoveWriter(d WriteDescriptor) {
	if w := r.watches.byDescriptor[d]; w != nil && w.writer == d {
		w.writer = nil
		w.changed(d)
	}
}

// RemoveAll forgets every foreign descriptor and returns them, each once (FDS-5).
// They are not told.
func (r *Reactor) RemoveAll() []FileDescriptor {
	var all []FileDescriptor
	for _, src := range r.slots {
		if w, ok := src.(*watch); ok {
			all = append(all, w.members()...)
			w.forget()
		}
	}
	return all
}

// Readers is every foreign descriptor being read, in the order of their tokens
// (FDS-4).
func (r *Reactor) Readers() []ReadDescriptor {
	var all []ReadDescriptor
	for _, src := range r.slots {
		if w, ok := src.(*watch); ok && w.reader != nil {
			all = append(all, w.reader)
		}
	}
	return all
}

// Writers is every foreign descriptor being written, in the order of their
// tokens.
func (r *Reactor) Writers() []WriteDescriptor {
	var all []WriteDescriptor
	for _, src := range r.slots {
		if w, ok := src.(*watch); ok && w.writer != nil {
			all = append(all, w.writer)
		}
	}
	return all
}

// watchOf finds or makes the watch of d's descriptor.
func (r *Reactor) watchOf(d FileDescriptor) (*watch, error) {
	if w := r.watches.byDescriptor[d]; w != nil {
		return w, nil
	}
	fd := d.Fileno()
	if w := r.watches.byFD[fd]; w != nil {
		return w, nil
	}
	if r.is(lifeEnding) || r.is(lifeStopped) {
		return nil, &OpError{Op: "watch", Err: ErrStopped} // nobody would end it
	}
	if r.caps.watcher == nil {
		return nil, &OpError{Op: "watch", Err: kernel.ErrUnsupported}
	}
	conn, err := r.caps.watcher.Watch(fd, fd)
	if err != nil {
		return nil, &OpError{Op: "watch", Err: err}
	}
	w := &watch{r: r, conn: conn, fd: fd}
	w.token = r.assignToken(w)
	if r.watches.byDescriptor == nil {
		r.watches = watches{make(map[FileDescriptor]*watch), make(map[int]*watch)}
	}
	r.watches.byFD[fd] = w
	return w, nil
}

// join notes d as a member and arms for it. If that fails, undo takes d out of its
// new place; an old one stays (FDS-28).
func (w *watch) join(d FileDescriptor, undo func()) error {
	w.r.watches.byDescriptor[d] = w
	if err := w.arm(); err != nil {
		undo()
		w.changed(d)
		return &OpError{Op: "watch", Err: err}
	}
	return nil
}

func (w *watch) arm() error {
	var want kernel.Ready
	if w.reader != nil {
		want |= kernel.Readable
	}
	if w.writer != nil {
		want |= kernel.Writable
	}
	return w.r.k.Arm(w.conn, w.token, want)
}

// leave takes d out of both places.
func (w *watch) leave(d FileDescriptor) {
	if w.reader != nil && FileDescriptor(w.reader) == d {
		w.reader = nil
	}
	if w.writer != nil && FileDescriptor(w.writer) == d {
		w.writer = nil
	}
}

func (w *watch) members() []FileDescriptor {
	var all []FileDescriptor
	if w.reader != nil {
		all = append(all, w.reader)
	}
	if w.writer != nil && (w.reader == nil || FileDescriptor(w.reader) != FileDescriptor(w.writer)) {
		all = append(all, w.writer)
	}
	return all
}

// changed follows a removal from a place: the kernel is told, and who has no
// place left is forgotten.
func (w *watch) changed(d FileDescriptor) {
	if (w.reader == nil || FileDescriptor(w.reader) != d) && (w.writer == nil || FileDescriptor(w.writer) != d) {
		delete(w.r.watches.byDescriptor, d)
	}
	if w.reader == nil && w.writer == nil {
		w.forget()
		return
	}
	if err := w.arm(); err != nil {
		w.r.log.Error("arming a descriptor", "fd", w.fd, "err", err)
	}
}

// forget ends the watch.
func (w *watch) forget() {
	for _, d := range w.members() {
		delete(w.r.watches.byDescriptor, d)
	}
	w.reader, w.writer = nil, nil
	if w.r.watches.byFD[w.fd] == w {
		delete(w.r.watches.byFD, w.fd)
	}
	if w.r.slots[w.token] == source(w) {
		w.r.k.Arm(w.conn, w.token, 0) // it may be closed already: nothing to be told then
		w.conn.Close()
		w.r.releaseToken(w.token)
	}
}

// replaced ends a descriptor whose number turned up with somebody else.
func (r *Reactor) replaced(d FileDescriptor) {
	w := r.watches.byDescriptor[d]
	w.leave(d)
	w.changed(d)
	w.lost(d, ErrDescriptorGone)
}

// ready calls the handlers, looking each time whether they are still there: the
// first may have removed the second (FDS-15).
func (w *watch) ready(ev kernel.Ready) {
	if d := w.reader; d != nil && ev&kernel.Readable != 0 {
		w.handling = d
		err := d.DoRead()
		if w.after(d, err, true) {
			return
		}
	}
	if d := w.writer; d != nil && ev&kernel.Writable != 0 {
		w.handling = d
		w.after(d, d.DoWrite(), false)
	}
}

// after looks at what a handler left behind, and tells whether d has ended.
func (w *watch) after(d FileDescriptor, err error, reading bool) bool {
	// Fileno may panic too: d is being handled until it has answered (FDS-11).
	if err == nil && w.r.watches.byDescriptor[d] == w && d.Fileno() == -1 {
		err = ErrDescriptorGone
	}
	w.handling = nil
	if err == nil {
		return false
	}
	w.disconnect(d, err, reading)
	return true
}

// disconnect ends d, or its reading alone (FDS-9).
func (w *watch) disconnect(d FileDescriptor, reason error, reading bool) {
	if h, ok := d.(HalfCloseDescriptor); ok && reading && reason == io.EOF {
		if w.reader != nil && FileDescriptor(w.reader) == d {
			w.reader = nil
			w.changed(d)
		}
		w.callback(func() { h.ReadConnectionLost(reason) })
		return
	}
	w.leave(d)
	w.changed(d)
	w.lost(d, reason)
}

func (w *watch) lost(d FileDescriptor, reason error) {
	w.callback(func() { d.ConnectionLost(reason) })
}

func (w *watch) callback(fn func()) {
	_ = w.r.guard("descriptor", fn)
}

// panicked ends the descriptor whose handler panicked (FDS-11).
func (w *watch) panicked(e *PanicError) {
	if d := w.handling; d != nil {
		w.handling = nil
		w.disconnect(d, e, false)
	}
}

func (w *watch) touched() {} // a change of what is watched takes effect at once

func (w *watch) logName() string {
	if w.handling != nil {
		return LogPrefixOf(w.handling)
	}
	return "reactor.watch"
}

func (w *watch) shutdown() {
	all := w.members()
	w.forget()
	for _, d := range all {
		w.lost(d, ErrStopped)
	}
}
