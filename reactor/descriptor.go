package reactor

import (
	"io"
	"log/slog"

	"github.com/whorl-go/whorl/kernel"
)

// FileDescriptor is an object with a descriptor that the reactor can watch. Its type must
// be comparable. All its methods are called on the loop's goroutine.
type FileDescriptor interface {
	// Fileno is the number of the descriptor. It must stay the same while the object is
	// open, and be -1 afterwards (FDS-7). It is not called after the object's last removal
	// (FDS-6).
	Fileno() int
	// ConnectionLost is called once, as the last call, when the reactor no longer watches
	// the object.
	ConnectionLost(err error)
}

// ReadDescriptor is a FileDescriptor to read from.
type ReadDescriptor interface {
	FileDescriptor
	// DoRead is called in each turn in which there may be something to read. It must not
	// block. If it returns an error, the descriptor ends, and ConnectionLost gets that
	// error (FDS-8). io.EOF is the clean end; it ends only the reading of a
	// [HalfCloseDescriptor] (FDS-9).
	DoRead() error
}

// WriteDescriptor is a FileDescriptor to write to.
type WriteDescriptor interface {
	FileDescriptor
	// DoWrite is called in each turn in which there may be room to write. It must not
	// block. If it returns an error, the descriptor ends, and ConnectionLost gets that
	// error (FDS-8).
	DoWrite() error
}

// HalfCloseDescriptor is implemented by a FileDescriptor that can still write after the end
// of its input.
type HalfCloseDescriptor interface {
	// ReadConnectionLost is called instead of ConnectionLost when DoRead has returned
	// io.EOF. Reading stops and writing goes on.
	ReadConnectionLost(err error)
}

// watches finds the watch of a foreign descriptor, by the object and by its number.
type watches struct {
	byDescriptor map[FileDescriptor]*watch
	byFD         map[int]*watch
}

// watch is one foreign descriptor. Its reader and its writer may be two objects (FDS-17).
type watch struct {
	r        *Reactor
	conn     kernel.Conn
	seen     kernel.Watched // conn, if it can tell that its number is somebody else's
	fd       int
	token    uint32
	reader   ReadDescriptor
	writer   WriteDescriptor
	handling FileDescriptor // DoRead or DoWrite of this one is in progress
}

// AddReader has d.DoRead called in every turn in which there may be something to read,
// until d is removed (FDS-1). Adding d twice has the effect of once (FDS-3). If d has closed its
// descriptor in between, and opened another one, under the same number or not, it is watched there. A number has one
// reader. If another reader has the number of d, and its Fileno still says so, d is refused
// with a [*WatchedError], and nothing changes (DESC-43). If the number refers to another file
// since, or Fileno says otherwise, the descriptor of that reader was closed without being
// removed. That reader then ends with ErrDescriptorGone (FDS-30). AddReader is for the loop's
// goroutine.
//
// An error is an [*OpError]. Its cause is a WatchedError, kernel.ErrBadDescriptor,
// kernel.ErrUnsupported, another error of the kernel, or ErrStopped if the reactor is ending.
func (r *Reactor) AddReader(d ReadDescriptor) error {
	w, err := r.watchOf(d)
	if err != nil {
		return err
	}
	if w.reader != nil && w.reader != d {
		if err := w.makeWay(w.reader, d, "reader"); err != nil {
			return err
		}
		if w, err = r.watchOf(d); err != nil {
			return err
		}
	}
	was := w.reader
	w.reader = d
	return w.join(d, func() { w.reader = was })
}

// AddWriter has d.DoWrite called in every turn in which there may be room to write. In
// everything else it is like AddReader.
func (r *Reactor) AddWriter(d WriteDescriptor) error {
	w, err := r.watchOf(d)
	if err != nil {
		return err
	}
	if w.writer != nil && w.writer != d {
		if err := w.makeWay(w.writer, d, "writer"); err != nil {
			return err
		}
		if w, err = r.watchOf(d); err != nil {
			return err
		}
	}
	was := w.writer
	w.writer = d
	return w.join(d, func() { w.writer = was })
}

// RemoveReader undoes AddReader. It does nothing if d is no reader of r (FDS-3).
func (r *Reactor) RemoveReader(d ReadDescriptor) {
	if w := r.watches.byDescriptor[d]; w != nil && w.reader == d {
		w.reader = nil
		w.changed(d)
	}
}

// RemoveWriter undoes AddWriter. It does nothing if d is no writer of r.
func (r *Reactor) RemoveWriter(d WriteDescriptor) {
	if w := r.watches.byDescriptor[d]; w != nil && w.writer == d {
		w.writer = nil
		w.changed(d)
	}
}

// RemoveAll removes all foreign descriptors and returns them, each once (FDS-5). Their
// ConnectionLost is not called.
func (r *Reactor) RemoveAll() []FileDescriptor {
	var all []FileDescriptor
	for _, src := range r.slots.All() {
		if w, ok := src.(*watch); ok {
			all = append(all, w.members()...)
			w.forget()
		}
	}
	return all
}

// Readers returns all foreign descriptors that were added by AddReader, in the order of
// their tokens (FDS-4).
func (r *Reactor) Readers() []ReadDescriptor {
	var all []ReadDescriptor
	for _, src := range r.slots.All() {
		if w, ok := src.(*watch); ok && w.reader != nil {
			all = append(all, w.reader)
		}
	}
	return all
}

// Writers returns all foreign descriptors that were added by AddWriter, in the order of
// their tokens.
func (r *Reactor) Writers() []WriteDescriptor {
	var all []WriteDescriptor
	for _, src := range r.slots.All() {
		if w, ok := src.(*watch); ok && w.writer != nil {
			all = append(all, w.writer)
		}
	}
	return all
}

// watchOf finds or makes the watch of d's descriptor. If d has opened another one without having been removed, it is in the new
// watch what it was in the old one.
func (r *Reactor) watchOf(d FileDescriptor) (*watch, error) {
	fd, old := d.Fileno(), r.watches.byDescriptor[d]
	if old == nil {
		return r.watchAt(fd, d)
	}
	changed := old.seen != nil && old.seen.Changed()
	if fd == -1 || fd == old.fd && !changed {
		return old, nil
	}
	reader, writer := old.reader, old.writer
	old.leave(d)
	delete(r.watches.byDescriptor, d)
	if !old.endIf(kernel.Watched.Changed) { // otherwise somebody else has it still
		old.changed(d)
	}
	w, err := r.watchAt(fd, d)
	if err != nil {
		return nil, err
	}
	if w.reader == nil && reader != nil && FileDescriptor(reader) == d {
		w.reader = reader
	}
	if w.writer == nil && writer != nil && FileDescriptor(writer) == d {
		w.writer = writer
	}
	return w, nil
}

// watchAt finds or makes the watch of fd, the number of d.
func (r *Reactor) watchAt(fd int, d FileDescriptor) (*watch, error) {
	if w := r.watches.byFD[fd]; w != nil && !w.endIf(kernel.Watched.Changed) {
		return w, nil
	}
	if r.is(lifeEnding) || r.is(lifeStopped) {
		return nil, &OpError{Op: "watch", Err: ErrStopped} // shutdown would not end it any more
	}
	if r.caps.watcher == nil {
		return nil, &OpError{Op: "watch", Err: kernel.ErrUnsupported}
	}
	conn, err := r.caps.watcher.Watch(fd, fd)
	if err != nil {
		return nil, &OpError{Op: "watch", Err: err}
	}
	r.optionals.descriptors.Check(r, d)
	w := &watch{r: r, conn: conn, fd: fd}
	w.seen, _ = kernel.ConnAs[kernel.Watched](conn)
	w.token = r.assignToken(w)
	if r.watches.byDescriptor == nil {
		r.watches = watches{make(map[FileDescriptor]*watch), make(map[int]*watch)}
	}
	r.watches.byFD[fd] = w
	return w, nil
}

// join registers d, which has just become the reader or the writer, and arms the
// descriptor. If that fails, undo restores the reader or writer from before (FDS-28).
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

// leave removes d as reader and as writer.
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

// changed is called after d was removed as reader or as writer. It tells the kernel. It
// unregisters d if d is neither of both any more, and ends a watch that has nobody left.
func (w *watch) changed(d FileDescriptor) {
	if (w.reader == nil || FileDescriptor(w.reader) != d) && (w.writer == nil || FileDescriptor(w.writer) != d) {
		delete(w.r.watches.byDescriptor, d)
	}
	if w.reader == nil && w.writer == nil {
		w.forget()
		return
	}
	if err := w.arm(); err != nil {
		w.r.limits.arms.Log(w.r, w.r.log, slog.LevelError, "arming a descriptor", slog.Int("fd", int(w.fd)), slog.Any("err", err))
	}
}

// forget ends the watch and unregisters its members.
func (w *watch) forget() {
	for _, d := range w.members() {
		delete(w.r.watches.byDescriptor, d)
	}
	w.reader, w.writer = nil, nil
	if w.r.watches.byFD[w.fd] == w {
		delete(w.r.watches.byFD, w.fd)
	}
	if w.r.slots.At(int(w.token)) == source(w) {
		w.r.k.Arm(w.conn, w.token, 0) // an error means that the descriptor is closed already
		w.conn.Close()
		w.r.releaseToken(w.token)
	}
}

// makeWay is called when d is to be in the place of old, which has the same number. If old
// still has it, d is refused. Otherwise old has closed it, and ends.
func (w *watch) makeWay(old, d FileDescriptor, role string) error {
	fd := -1
	if w.r.guard(old, func() { fd = old.Fileno() }) == nil && fd == w.fd {
		return &OpError{Op: "watch", Err: &WatchedError{FD: fd, Role: role, Watched: old, Refused: d}}
	}
	if w.r.watches.byDescriptor[old] == w {
		w.leave(old)
		w.changed(old)
		w.lost(old, ErrDescriptorGone)
	}
	return nil
}

// gone ends the reader and the writer if the kernel has given the number to something else. It
// returns whether that is so. Then no handler may be called: it would read what is not its
// own (FDS-30).
func (w *watch) gone() bool { return w.endIf(kernel.Watched.Gone) }

// endIf ends the reader and the writer with ErrDescriptorGone if gone is true of the conn.
func (w *watch) endIf(gone func(kernel.Watched) bool) bool {
	if w.seen == nil || !gone(w.seen) {
		return false
	}
	all := w.members()
	w.forget()
	for _, d := range all {
		w.lost(d, ErrDescriptorGone)
	}
	return true
}

// ready calls the reader and then the writer. It looks up the writer only after the reader
// has returned, because the reader may have removed it (FDS-15).
func (w *watch) ready(ev kernel.Ready) {
	if w.gone() {
		return
	}
	if d := w.reader; d != nil && ev&kernel.Readable != 0 {
		w.handling = d
		err := d.DoRead()
		if w.after(d, err, true) {
			return
		}
	}
	if d := w.writer; d != nil && ev&kernel.Writable != 0 && !w.gone() {
		w.handling = d
		w.after(d, d.DoWrite(), false)
	}
}

// after ends d if its handler returned err, or left it closed. It tells whether d has ended.
func (w *watch) after(d FileDescriptor, err error, reading bool) bool {
	// handling stays set during Fileno, which may panic too (FDS-11).
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

// disconnect ends d. At the end of the input it ends only the reading of a
// HalfCloseDescriptor (FDS-9).
func (w *watch) disconnect(d FileDescriptor, reason error, reading bool) {
	if now := w.r.watches.byDescriptor[d]; now != nil {
		w = now // its handler has removed it, and added it again
	}
	if h, ok := d.(HalfCloseDescriptor); ok && reading && reason == io.EOF {
		if w.reader != nil && FileDescriptor(w.reader) == d {
			w.reader = nil
			w.changed(d)
		}
		_ = w.r.guard(d, func() { h.ReadConnectionLost(reason) })
		return
	}
	w.leave(d)
	w.changed(d)
	w.lost(d, reason)
}

func (w *watch) lost(d FileDescriptor, reason error) {
	_ = w.r.guard(d, func() { d.ConnectionLost(reason) })
}

// panicked ends the descriptor whose handler panicked (FDS-11).
func (w *watch) panicked(e *PanicError) {
	if d := w.handling; d != nil {
		w.handling = nil
		w.disconnect(d, e, false)
	}
}

func (w *watch) touched() {} // never touched: a change of what is watched takes effect at once

func (w *watch) logName() string {
	if w.handling != nil {
		return LogPrefixOf(w.handling)
	}
	return "reactor.watch"
}

func (w *watch) drop() { w.conn.Close() }

func (w *watch) shutdown() {
	all := w.members()
	w.forget()
	for _, d := range all {
		w.lost(d, ErrStopped)
	}
}
