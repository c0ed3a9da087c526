// Package activation is how this process and a service manager, such as systemd, talk: [Take] returns the sockets that the manager has opened
// and passed, and [TakeNotifier] what tells it that the process is ready, or about to end.
//
// The sockets are descriptors from 3 on. The environment says how many there are, for which process, and
// what they are called. A program takes them once, when it starts, before it starts a child:
//
//	passed := activation.Take()
//	schemes := std.Schemes(&std.Options{Activation: passed})
//
// Nothing in this module looks at the environment by itself, but service.Main, which is a program.
package activation

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxSockets is more than a process may have descriptors.
const maxSockets = 1 << 20

// First is the number of the first descriptor that is passed.
const First = 3

// Socket is one descriptor that was passed.
type Socket struct {
	// FD is its number.
	FD int
	// Name is what the service manager calls it. Several may have one name: systemd uses that of
	// the unit unless FileDescriptorName says otherwise.
	Name string
}

// Sockets are the descriptors that were passed, in their order. Nil and the zero value have none.
// A socket is used once: whoever adopts it closes its descriptor, whose number may then be another file's.
type Sockets struct {
	all []Socket

	mu   sync.Mutex
	used map[int]bool // by descriptor
}

// environment is the process's, or that of a test.
type environment interface {
	LookupEnv(name string) (string, bool)
	Unsetenv(name string) error
	Getpid() int
}

type process struct{}

func (process) LookupEnv(name string) (string, bool) { return os.LookupEnv(name) }
func (process) Unsetenv(name string) error           { return os.Unsetenv(name) }
func (process) Getpid() int                          { return os.Getpid() }

// Take returns what was passed to this process, and takes LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES
// out of its environment, so that no child takes the sockets for its own. It makes the descriptors
// close-on-exec. A second call returns none.
//
// There are none unless LISTEN_PID is the number of this process, LISTEN_FDS is a number greater than
// zero, and LISTEN_FDNAMES has as many names, with colons between them (SYSD-1, SYSD-2). If there is
// no LISTEN_FDNAMES, as some service managers have it, the sockets have no names.
func Take() *Sockets {
	s := take(process{})
	for _, one := range s.all {
		closeOnExec(one.FD)
	}
	return s
}

func take(e environment) *Sockets {
	text, _ := e.LookupEnv("LISTEN_PID")
	pid, err := strconv.Atoi(text)
	if err != nil || pid != e.Getpid() {
		return new(Sockets) // they are for somebody else, if for anybody
	}
	text, _ = e.LookupEnv("LISTEN_FDS")
	n, err := strconv.Atoi(text)
	text, named := e.LookupEnv("LISTEN_FDNAMES")
	names := strings.Split(text, ":")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		_ = e.Unsetenv(name) // it cannot fail for such a name
	}
	s := new(Sockets)
	if !named && err == nil && n > 0 && n <= maxSockets {
		names = make([]string, n)
	}
	if err != nil || n <= 0 || n != len(names) {
		return s
	}
	for i, name := range names {
		s.all = append(s.all, Socket{First + i, name})
	}
	return s
}

// All returns all of them. The slice is the caller's.
func (s *Sockets) All() []Socket {
	if s == nil {
		return nil
	}
	return slices.Clone(s.all)
}

// Index returns the socket of that number, from 0.
func (s *Sockets) Index(i int) (one Socket, ok bool) {
	if s == nil || i < 0 || i >= len(s.all) {
		return Socket{}, false
	}
	return s.all[i], true
}

// Named returns those of that name, in their order.
func (s *Sockets) Named(name string) []Socket {
	return slices.DeleteFunc(s.All(), func(one Socket) bool { return one.Name != name })
}

// Use is for who is about to adopt the descriptor fd of one of them. It returns true the first time, and false ever after: then fd must not be touched. Without
// sockets it is false. It is for any goroutine.
func (s *Sockets) Use(fd int) (first bool) {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used[fd] {
		return false
	}
	if s.used == nil {
		s.used = make(map[int]bool)
	}
	s.used[fd] = true
	return true
}

// Used tells whether Use was called with fd. It is for any goroutine.
func (s *Sockets) Used(fd int) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used[fd]
}
