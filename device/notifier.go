package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// Event is something that has happened to a watched path, or below it.
type Event struct {
	// Watch is the watch that the event belongs to.
	Watch *Watch
	// Path is the watched path, or that of the child the event is about (INOT-2). It has the bytes that the system has:
	// they need not be UTF-8.
	Path string
	// Mask has what happened: one event, Moved for both halves of a move, and IsDir if it is about a directory. It is 0 if
	// Err is set.
	Mask Mask
	// Old is where it was before, if Mask has both MovedFrom and MovedTo.
	Old string
	// Scanned: no event of the system, but found when a directory was listed: one that was new, or all of them after an
	// Overflow.
	Scanned bool
	// Err says why the directory Path, below a watched one, cannot be watched: a [*LimitError] or a
	// [*kernel.SysError]. What happens below Path is then not told.
	Err error
}

// NotifierConfig configures a Notifier. The zero value has the defaults.
type NotifierConfig struct {
	// MoveWindow is how long the first half of a move may wait for the second. Then it is told as MovedFrom alone: it was
	// moved to where nobody watches. Zero or negative: 50 ms.
	MoveWindow time.Duration
	// Lost is called once and last, on the loop's goroutine: with reactor.ErrClosed after Close, reactor.ErrStopped, or a
	// failure. Nil: nothing is called.
	Lost func(err error)
}

// WatchConfig says what a watch is told of.
type WatchConfig struct {
	// Mask is the set of events. Zero: Changes and CloseWrite. DeleteSelf, Unmount, Overflow and Ignored are
	// told in any case, and so is MoveSelf of a recursive watch.
	Mask Mask
	// Recursive watches all directories below too, and those that are made or moved there later. Symbolic links are not
	// followed, but for the path itself.
	Recursive bool
	// Ready is called when all directories of a recursive watch are watched, and again when they have been listed after
	// an Overflow. It is never called inside Add. Nil: nothing is called.
	Ready func()
}

// Watch is a path that is watched. Its methods are for the loop's goroutine.
type Watch struct {
	n       *Notifier
	path    string
	cfg     WatchConfig
	fn      func(Event)
	root    *node
	file    os.FileInfo // what the path is, or leads to; nil: a directory, or it was moved
	ended   bool
	waiting int // directories to list
	ready   bool
}

// Path is the path that was given to Add, cleaned.
func (w *Watch) Path() string { return w.path }

// Active tells whether the watch lasts: it was not closed, and its path is still there. In the event that tells the end it does not.
func (w *Watch) Active() bool { return !w.ended }

// Close ends the watch. Nothing more is told, also not of what has happened already. It may be called again.
func (w *Watch) Close() {
	if !w.ended {
		w.end()
	}
}

// Notifier tells of changes of files and directories, by inotify. It has one descriptor, whatever the number of its
// watches. Its methods are for the loop's goroutine, and so are the functions given to it. They may call its methods,
// and those of its watches. A panic in such a function is logged, and watching goes on (INOT-8).
type Notifier struct {
	r   *reactor.Reactor
	cfg NotifierConfig
	sys inotify
	fd  int // -1 after the end
	buf []byte

	watches []*Watch // in the order of Add
	byPath  map[string]*Watch
	inodes  map[int32]*inode
	scratch []*node

	held   []held // first halves of moves, the oldest first
	window reactor.DelayedCall
	missed []missing
	jobs   jobs
	paused bool
	atEnd  *reactor.Trigger // ends a paused one, which the reactor does not know
}

var (
	// ErrNotWatched: Remove of a path that is not watched.
	ErrNotWatched = kernel.Sentinel("the path is not watched")
	// ErrLimit: a limit of the system for inotify is reached. It is in a [*LimitError].
	ErrLimit = kernel.Sentinel("a limit of inotify is reached", kernel.ErrNoResources)
)

// LimitError says which limit of the system stands against a new watch or a new Notifier. errors.Is finds ErrLimit
// in it.
type LimitError struct {
	// Path is what was to be watched; empty for a Notifier.
	Path string
	// Setting is the name of the limit, as sysctl has it: "fs.inotify.max_user_watches" or
	// "fs.inotify.max_user_instances".
	Setting string
	// Limit is its value. Zero: it cannot be read.
	Limit int
	// Err is the system's error.
	Err error
}

// Error names the setting and says what to do.
func (e *LimitError) Error() string {
	what := "watch " + e.Path
	if e.Path == "" {
		what = "inotify"
	}
	return fmt.Sprintf("%s: %v: the user has as many as the setting %s allows (%d); raise it with sysctl -w", what, e.Err, e.Setting, e.Limit)
}

// Unwrap returns ErrLimit and Err.
func (e *LimitError) Unwrap() []error { return []error{ErrLimit, e.Err} }

const (
	defaultMoveWindow = 50 * time.Millisecond
	// notifyBuffer bounds the events of a turn, to some hundreds.
	notifyBuffer = 16 << 10
	// eventHead and longestEvent are the lengths of an event without its name, and with the longest one.
	eventHead, longestEvent = 16, 16 + 256
)

// NewNotifier opens a Notifier. The system calls for it and for its watches are made on the loop: they
// need no other process, but a network file system may be slow to answer a look-up.
//
// An error is ErrUnsupported on systems without inotify or kernels that take no descriptors, a [*LimitError] if the
// user has too many, kernel.ErrTooManyFiles alone if the process has no descriptor left, or what the reactor says (INOT-7).
func NewNotifier(r *reactor.Reactor, c NotifierConfig) (*Notifier, error) {
	return newNotifier(r, c, systemInotify())
}

func newNotifier(r *reactor.Reactor, c NotifierConfig, sys inotify) (*Notifier, error) {
	if c.MoveWindow <= 0 {
		c.MoveWindow = defaultMoveWindow
	}
	fd, err := sys.Init()
	if err != nil {
		return nil, initError(err)
	}
	n := &Notifier{r: r, cfg: c, sys: sys, fd: fd, buf: make([]byte, notifyBuffer)}
	n.byPath, n.inodes = make(map[string]*Watch), make(map[int32]*inode)
	n.window.Init(r, n.expire)
	n.jobs.call.Init(r, n.runJobs)
	if err := r.AddReader((*notifierReader)(n)); err != nil {
		_ = sys.Close(fd)
		return nil, unsupported(err)
	}
	n.atEnd = r.AddTrigger(reactor.During, reactor.Shutdown, func() { n.lost(reactor.ErrStopped) })
	return n, nil
}

// initError says why there is no Notifier.
func initError(err error) error {
	errno := errnoOf(err)
	if errno == 0 {
		return err
	}
	sys := native.SysError("inotify_init", errno)
	if errno != syscall.EMFILE {
		return sys
	}
	if errnoOf(spareDescriptor()) == syscall.EMFILE {
		return sys // it is the process that has no descriptor left
	}
	const setting = "fs.inotify.max_user_instances"
	return &LimitError{Setting: setting, Limit: limitOf(setting), Err: sys}
}

// unsupported adds ErrUnsupported to an error of a kernel that takes no descriptors.
func unsupported(err error) error {
	if errors.Is(err, kernel.ErrUnsupported) && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("%w: %w", err, ErrUnsupported)
	}
	return err
}

// Add watches path, a file or a directory. fn gets the events, never inside Add; it must not be nil. If path is watched already, its watch is
// returned, with c and fn in the place of what it had (INOT-3). A relative path is looked up in the working
// directory whenever a directory below it is added, so the program must not change that.
//
// When Add returns, path is watched. The directories below it are added in the following turns, a bounded number in each;
// Ready tells when that is done, also if path was watched already: from then on c.Mask holds in all of them. What was
// there before Add is not told. A file that is made before Ready in a directory that was there before Add may go untold.
//
// A directory that is made or moved there later is listed once it is watched, and what is in it already is told as Scanned
// Create. Nothing is told twice because of that, unless the directory was deleted or moved meanwhile.
//
// An error is a [*LimitError], or a [*kernel.SysError]: fs.ErrNotExist, kernel.ErrPermission. ErrClosed: the
// Notifier has ended.
func (n *Notifier) Add(path string, c WatchConfig, fn func(Event)) (*Watch, error) {
	if fn == nil {
		panic("device: Add of a nil function, which is to get the events of " + path)
	}
	if n.fd < 0 {
		return nil, reactor.ErrClosed
	}
	path = filepath.Clean(path)
	if c.Mask == 0 {
		c.Mask = Changes | CloseWrite
	}
	w := n.byPath[path]
	if w == nil {
		w = &Watch{n: n, path: path}
		w.root = &node{w: w}
	}
	was, had := w.cfg, w.fn
	w.cfg, w.fn = c, fn
	w.file = fileAt(path)
	changed, err := n.watch(w.root)
	if err != nil {
		w.cfg, w.fn = was, had
		return nil, watchError(path, err)
	}
	if w.file != nil {
		w.file = fileAt(path) // it may be another one than before
	}
	if n.byPath[path] == nil {
		n.byPath[path] = w
		n.watches = append(n.watches, w)
	}
	switch {
	case c.Recursive && !changed && was.Recursive:
		w.ready = false
		n.queue(w.root, scanAgain)
	case c.Recursive:
		n.dropChildren(w.root) // of another directory that had the path
		w.ready = false
		n.queue(w.root, scanQuiet)
	case was.Recursive:
		n.dropChildren(w.root)
	}
	return w, nil
}

// watchError says why a path cannot be watched.
func watchError(path string, err error) error {
	errno := errnoOf(err)
	if errno == 0 {
		return err
	}
	sys := native.SysError("inotify_add_watch", errno)
	if errno == syscall.ENOSPC {
		const setting = "fs.inotify.max_user_watches"
		return &LimitError{Path: path, Setting: setting, Limit: limitOf(setting), Err: sys}
	}
	return fmt.Errorf("watch %s: %w", path, sys)
}

// Remove ends the watch of a path, as its Close does. It fails with ErrNotWatched if there is none (INOT-6).
func (n *Notifier) Remove(path string) error {
	w := n.byPath[filepath.Clean(path)]
	if w == nil {
		return fmt.Errorf("%s: %w", path, ErrNotWatched)
	}
	w.end()
	return nil
}

// Watches is the number of watches of the system that are in use: one for each path and each directory below a recursive
// one.
func (n *Notifier) Watches() int { return len(n.inodes) }

// Close ends all watches. Lost is called before Close returns. It may be called again.
func (n *Notifier) Close() {
	if n.fd >= 0 {
		n.r.RemoveReader((*notifierReader)(n))
		n.lost(reactor.ErrClosed)
	}
}

// PauseProducing leaves events to the system, until its queue overflows. ResumeProducing goes on. What is in progress may still
// tell some hundreds of events.
func (n *Notifier) PauseProducing() {
	if !n.paused && n.fd >= 0 {
		n.paused = true
		n.r.RemoveReader((*notifierReader)(n))
	}
}

// ResumeProducing has events told again. If the kernel refuses that, the Notifier is lost.
func (n *Notifier) ResumeProducing() {
	if !n.paused || n.fd < 0 {
		return
	}
	n.paused = false
	n.jobs.call.Reset(0)
	if err := n.r.AddReader((*notifierReader)(n)); err != nil {
		n.r.Post(func() { n.lost(err) })
	}
}

// StopProducing is Close.
func (n *Notifier) StopProducing() { n.Close() }

// lost closes the descriptor, once, and ends everything.
func (n *Notifier) lost(err error) {
	if n.fd < 0 {
		return
	}
	fd := n.fd
	n.fd = -1
	_ = n.atEnd.Remove() // an error says that it runs
	n.window.Cancel()
	n.jobs.drop()
	for _, w := range n.watches {
		w.ended = true
	}
	n.watches, n.byPath, n.inodes, n.held, n.missed = nil, nil, nil, nil, nil
	if !errors.Is(err, reactor.ErrDescriptorGone) { // otherwise the number is somebody else's
		_ = n.sys.Close(fd) // which has nothing to write, and ends all watches
	}
	if n.cfg.Lost != nil {
		_ = n.r.Guard("inotify", func() { n.cfg.Lost(err) })
	}
}

// tell gives w an event that it has asked for.
func (w *Watch) tell(e Event) {
	if e.Mask&(w.cfg.Mask&^IsDir) != 0 {
		w.must(e)
	}
}

// must gives w an event, whatever it has asked for.
func (w *Watch) must(e Event) {
	if !w.ended {
		w.call(e)
	}
}

// last ends the watch, and tells why. The path can be added again in that event.
func (w *Watch) last(e Event) {
	if !w.ended {
		w.end()
		w.call(e)
	}
}

func (w *Watch) call(e Event) {
	e.Watch = w
	_ = w.n.r.Guard("inotify", func() { w.fn(e) })
}

// end ends the watch, silently.
func (w *Watch) end() {
	w.ended = true
	n := w.n
	delete(n.byPath, w.path)
	for i, x := range n.watches {
		if x == w {
			n.watches = append(n.watches[:i:i], n.watches[i+1:]...)
			break
		}
	}
	n.drop(w.root)
}

// notifierReader is a Notifier as the reactor sees it.
type notifierReader Notifier

// Fileno is the descriptor of inotify.
func (d *notifierReader) Fileno() int { return d.fd }

// DoRead handles the events that one read returns.
func (d *notifierReader) DoRead() error { return (*Notifier)(d).pull() }

// ConnectionLost ends the Notifier.
func (d *notifierReader) ConnectionLost(err error) { (*Notifier)(d).lost(err) }

// LogPrefix is its name in logs.
func (d *notifierReader) LogPrefix() string { return "inotify" }

// pull reads once and handles what was read. If the system has nothing more, what waited for that is done.
func (n *Notifier) pull() error {
	if n.fd < 0 {
		return nil
	}
	k, err := n.sys.Read(n.fd, n.buf)
	switch errno := errnoOf(err); {
	case errno == syscall.EAGAIN:
		k = 0
	case errno == syscall.EINTR:
		return nil
	case err != nil:
		return native.SysError(kernel.OpRead, errno)
	}
	for p := n.buf[:max(k, 0)]; len(p) >= eventHead && n.fd >= 0; {
		e := raw{
			wd:     int32(binary.NativeEndian.Uint32(p)),
			mask:   Mask(binary.NativeEndian.Uint32(p[4:])),
			cookie: binary.NativeEndian.Uint32(p[8:]),
		}
		size := eventHead + int(binary.NativeEndian.Uint32(p[12:]))
		name := p[eventHead:size]
		for i, c := range name {
			if c == 0 {
				name = name[:i]
				break
			}
		}
		e.name = string(name)
		p = p[size:]
		n.handle(e)
	}
	if k <= len(n.buf)-longestEvent && n.fd >= 0 {
		n.drained()
	}
	return nil
}
