package activation

import (
	"maps"
	"slices"
	"testing"
)

// fake is an environment of process 100.
type fake map[string]string

func (f fake) LookupEnv(name string) (string, bool) { v, ok := f[name]; return v, ok }
func (f fake) Unsetenv(name string) error           { delete(f, name); return nil }
func (f fake) Getpid() int                          { return 100 }

// SYSD-1: the sockets are those from 3 on, with their names, one by one; afterwards the environment
// no longer speaks of them. SYSD-2: what is missing, is no number, or counts otherwise, means none.
func TestTake(t *testing.T) {
	for _, c := range []struct {
		pid, fds, names string
		want            []Socket
		kept            bool
	}{
		{"100", "2", "http:tls", []Socket{{3, "http"}, {4, "tls"}}, false},
		{"100", "1", "", []Socket{{3, ""}}, false},
		{"100", "3", "a:a:b", []Socket{{3, "a"}, {4, "a"}, {5, "b"}}, false},
		{"101", "2", "http:tls", nil, true},
		{"", "2", "http:tls", nil, true},
		{"x", "2", "http:tls", nil, true},
		{"100", "", "http:tls", nil, false},
		{"100", "two", "http:tls", nil, false},
		{"100", "0", "", nil, false},
		{"100", "-1", "", nil, false},
		{"100", "2", "http", nil, false},
		{"100", "2", "http:tls:more", nil, false},
		{"100", "2", "", nil, false},
		{"100", "2", "absent", []Socket{{3, ""}, {4, ""}}, false},
		{"100", "2000000", "absent", nil, false},
	} {
		env := fake{"LISTEN_PID": c.pid, "LISTEN_FDS": c.fds, "LISTEN_FDNAMES": c.names, "HOME": "/"}
		if c.names == "absent" {
			delete(env, "LISTEN_FDNAMES")
		}
		before := maps.Clone(env)
		s := take(env)
		if got := s.All(); !slices.Equal(got, c.want) {
			t.Errorf("SYSD-1, SYSD-2: %v: %v, want %v", before, got, c.want)
		}
		if c.kept != maps.Equal(env, before) || !c.kept && !maps.Equal(env, fake{"HOME": "/"}) {
			t.Errorf("SYSD-1: %v: afterwards %v", before, env)
		}
		if again := take(env); len(again.All()) != 0 {
			t.Errorf("a second time: %v", again)
		}
	}
}

// Sockets are found by their place and by their names, also if there are none.
func TestSockets(t *testing.T) {
	s := take(fake{"LISTEN_PID": "100", "LISTEN_FDS": "3", "LISTEN_FDNAMES": "a:b:a"})
	if got := s.Named("a"); !slices.Equal(got, []Socket{{3, "a"}, {5, "a"}}) {
		t.Errorf("named a: %v", got)
	}
	if got := s.Named("c"); len(got) != 0 {
		t.Errorf("named c: %v", got)
	}
	if got, ok := s.Index(1); !ok || got != (Socket{4, "b"}) {
		t.Errorf("at 1: %v, %v", got, ok)
	}
	for _, i := range []int{-1, 3} {
		if got, ok := s.Index(i); ok {
			t.Errorf("at %d: %v", i, got)
		}
	}
	var none *Sockets
	if _, ok := none.Index(0); ok || len(none.All()) != 0 || len(none.Named("")) != 0 {
		t.Error("nil has sockets")
	}
	if len(Take().All()) != 0 {
		t.Error("the test's own process was passed sockets")
	}
}

// A socket can be used once.
func TestUse(t *testing.T) {
	var none *Sockets
	some := &Sockets{all: []Socket{{FD: 3}, {FD: 4}}}
	if none.Used(3) || none.Use(3) || some.Used(3) || !some.Use(3) || some.Use(3) || !some.Used(3) || some.Used(4) || !some.Use(4) {
		t.Error("a socket is used twice, or not at all")
	}
}
