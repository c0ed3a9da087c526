package std_test

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// modem is a factory and its one protocol, which keeps what it hears.
type modem struct {
	reactor.Base
	got              []byte
	started, stopped int
	lost             error
	refuse           bool
	built            kernel.Addr
}

func (m *modem) BuildProtocol(a kernel.Addr) reactor.Protocol {
	if m.built = a; m.refuse {
		return nil
	}
	return m
}
func (m *modem) StartFactory() error      { m.started++; return nil }
func (m *modem) StopFactory() error       { m.stopped++; return nil }
func (m *modem) DataReceived(p []byte)    { m.got = append(m.got, p...) }
func (m *modem) ConnectionLost(err error) { m.lost = err }

// script is the description of a shell that runs text.
func script(text string, more ...string) string {
	return "exec:/bin/sh:arg=-c:arg=" + endpoint.Quote(text) + ":arg=sh" + strings.Join(more, "")
}

// EP-16: a program as a place. Connecting succeeds in the next turn, output is received, what is written is the input, and the exit status is the reason
// of the loss. The factory is in use from the start to the loss (EP-3), and its protocol is what done gets (EP-2).
func TestExec(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			for place, want := range map[string]string{
				script("cat"):                             "EOF",
				script("cat; exit 7"):                     "exit status 7",
				script("cat >&2", ":stderr=output"):       "EOF",
				script("cat; echo x >&2", ":stderr=drop"): "EOF",
			} {
				f := new(modem)
				var p reactor.Protocol
				client(t, place).Connect(r, f, func(q reactor.Protocol, err error) {
					if p = q; err != nil {
						t.Error(err)
					}
				})
				if p != nil || f.T != nil {
					t.Error("EP-1: inside the call")
				}
				testworld.Until(t, func() bool { return p != nil }, r)
				if a := f.T.Remote(); p != reactor.Protocol(f) || a != f.T.Local() || a != f.built || a.Net != kernel.Process || a.String() != "/bin/sh" {
					t.Errorf("EP-16: protocol %T, addresses %v, %v, %v", p, f.built, a, f.T.Local())
				}
				f.T.Write([]byte("hello\n"))
				_ = f.T.CloseWrite()
				testworld.Until(t, func() bool { return f.lost != nil }, r)
				if string(f.got) != "hello\n" || f.lost.Error() != want || (want == "EOF") != (f.lost == io.EOF) {
					t.Errorf("EP-16: %s: got %q, lost with %v, want %s", place, f.got, f.lost, want)
				}
				if f.started != 1 || f.stopped != 1 {
					t.Errorf("EP-3: started %d times, stopped %d", f.started, f.stopped)
				}
			}
		})
	}
}

// A program that cannot be started, a factory that refuses and a cancel are told as those of other places are (EP-4, EP-5, EP-6), and leave no
// factory in use.
func TestExecFails(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			failed := func(place string, f *modem, cancel bool) (err error) {
				stop := client(t, place).Connect(r, f, func(_ reactor.Protocol, e error) { err = e })
				if cancel {
					stop()
				}
				testworld.Until(t, func() bool { return err != nil }, r)
				stop()
				if f.started != f.stopped || !errors.Is(err, reactor.ErrConnect) {
					t.Errorf("%v; started %d times, stopped %d", err, f.started, f.stopped)
				}
				return err
			}
			if err := failed("exec:/no/such/program", new(modem), false); !errors.Is(err, fs.ErrNotExist) || strings.Count(err.Error(), "/no/such/program") < 1 {
				t.Errorf("EP-16: %v", err)
			}
			if err := failed(script("cat"), &modem{refuse: true}, false); !errors.Is(err, reactor.ErrNoProtocol) {
				t.Errorf("EP-4: %v", err)
			}
			if err := failed(script("cat"), new(modem), true); !errors.Is(err, reactor.ErrCancelled) {
				t.Errorf("EP-6: %v", err)
			}
		})
	}
}

// EP-16: arguments arrive as they are, and the environment is that of the set, with what the description adds.
func TestExecArguments(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			s := std.Schemes(&std.Options{Environ: []string{"A=1", "PWD=/elsewhere", "B=2"}})
			for place, want := range map[string]string{
				`exec:/usr/bin/printf:arg=%s|:arg=a b:arg=c\:d:arg=e=f:arg=`: "a b|c:d|e=f||",
				`exec:/usr/bin/env:env=B=3=4`:                                "A=1\nPWD=/elsewhere\nB=3=4\n",
				`exec:/usr/bin/env:env=C=5:inherit=no`:                       "C=5\n",
				`exec:pwd:dir=/usr`:                                          "/usr\n",
				`exec:/usr/bin/env:dir=/usr`:                                 "A=1\nPWD=/usr\nB=2\n",
				`exec:/usr/bin/env:dir=/usr:env=PWD=/`:                       "A=1\nB=2\nPWD=/\n",
				`exec:/usr/bin/env:dir=/usr:inherit=no:env=C=5`:              "C=5\n",
				`exec:tty:pty=yes`:                                           "/dev/pts/",
			} {
				e, err := s.Client(place)
				if err != nil {
					t.Fatal(err)
				}
				f := new(modem)
				e.Connect(r, f, func(_ reactor.Protocol, err error) {
					if err != nil {
						t.Error(err)
					}
				})
				testworld.Until(t, func() bool { return f.lost != nil }, r)
				if !strings.HasPrefix(string(f.got), want) || f.lost != io.EOF {
					t.Errorf("EP-16: %s: %q, %v", place, f.got, f.lost)
				}
			}
		})
		break
	}
	e := client(t, `exec:cat:arg=-n:arg=-:env=A=b\:c:stderr=drop:pty=yes:grace=1:inherit=no`).(*std.ExecClient)
	if !slices.Equal(e.Args, []string{"-n", "-"}) || !slices.Equal(e.Env, []string{"A=b:c"}) || !e.NoInherit || !e.PTY {
		t.Errorf("%+v", e)
	}
	if again := client(t, e.String()); again.String() != e.String() {
		t.Errorf("%s is %s", e, again)
	}
}

// GRAM-7: mistakes are known at the parse.
func TestExecMistakes(t *testing.T) {
	for place, argument := range map[string]string{
		"exec:":                     "program",
		"exec:a\x00":                "program",
		"exec:cat:arg=a\x00":        "arg",
		"exec:cat:dir=a\x00":        "dir",
		"exec:cat:env=A":            "env",
		"exec:cat:env=\\=b":         "env",
		"exec:cat:stderr=elsewhere": "stderr",
		"exec:cat:second":           "",
	} {
		_, err := std.Schemes(nil).Client(place)
		if e, ok := errors.AsType[*endpoint.ArgumentError](err); !ok || e.Argument != argument {
			t.Errorf("GRAM-7: %q: %v", place, err)
		}
	}
}

// The reactor's end ends the program too.
func TestExecStop(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			f := new(modem)
			client(t, script("echo ready; read x; read x", ":grace=0.05")).Connect(r, f, func(reactor.Protocol, error) {})
			testworld.Until(t, func() bool { return len(f.got) > 0 }, r)
			c, _ := reactor.As[*process.Conn](f.T)
			r.Close()
			if _, exited := c.Status(); !exited || !errors.Is(f.lost, reactor.ErrStopped) || f.stopped != 1 {
				t.Errorf("exited %v, lost with %v, stopped %d", exited, f.lost, f.stopped)
			}
		})
	}
}
