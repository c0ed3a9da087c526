package device

import "github.com/whorl-go/whorl/reactor"

// What tests see of a Notifier.
const (
	DefaultMoveWindow = defaultMoveWindow
	ScanBudget        = scanBudget
)

// Inotify is what a Notifier asks of the system.
type Inotify = inotify

// LimitOf and SystemInotify are limitOf and systemInotify.
func LimitOf(setting string) int { return limitOf(setting) }
func SystemInotify() inotify     { return systemInotify() }

// NewNotifierOn makes a Notifier on another system.
func NewNotifierOn(r *reactor.Reactor, c NotifierConfig, sys inotify) (*Notifier, error) {
	return newNotifier(r, c, sys)
}

// Pull and RunJobs are what the loop calls.
func (n *Notifier) Pull() error { return n.pull() }
func (n *Notifier) RunJobs()    { n.runJobs() }

// Open tells whether there is a descriptor.
func (n *Notifier) Open() bool { return n.fd >= 0 }

// Busy tells whether something waits for a later turn.
func (n *Notifier) Busy() bool {
	return n.jobs.call.Active() || len(n.held) > 0 || len(n.jobs.settling) > 0
}

// Remembers tells whether names that were told in a directory are still remembered.
func (n *Notifier) Remembers(root string, names ...string) bool {
	c := n.byPath[root].root
	for _, name := range names {
		c = c.children[name]
	}
	return len(n.jobs.settling) > 0 || c.told != nil
}

// Encode is what encode and decode make of settings.
func Encode(c SerialConfig) SerialConfig { return decode(encode(settings{}, c)) }

// Read is what the loop calls.
func (t *Tunnel) Read() error { return (*tunnelFD)(t).DoRead() }

// OnWrite replaces the system call that writes.
func (t *Tunnel) OnWrite(fn func(write func() (int, error)) (int, error)) {
	was := t.write
	t.write = func(fd int, p []byte) (int, error) { return fn(func() (int, error) { return was(fd, p) }) }
}

// Number is the descriptor.
func (n *Notifier) Number() int { return n.fd }
func (s *Serial) Number() int   { return s.fd }
func (t *Tunnel) Number() int   { return t.fd }
