//go:build unix

package std_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/reactor"
)

// stdioChild says what TestStdioChild does.
const stdioChild = "WHORL_TEST_STDIO"

// upper sends what comes back in capitals, and stops the reactor at its end.
type upper struct{ reactor.Base }

func (u *upper) DataReceived(p []byte) { u.T.Write(bytes.ToUpper(p)) }

func (u *upper) ConnectionLost(error) { u.T.Reactor().Stop() }

// uppers counts.
type uppers struct {
	built, started, stopped int
	peer                    kernel.Addr
	refuse                  bool
}

func (f *uppers) StartFactory() error { f.started++; return nil }
func (f *uppers) StopFactory() error  { f.stopped++; return nil }

func (f *uppers) BuildProtocol(peer kernel.Addr) reactor.Protocol {
	f.built++
	f.peer = peer
	if f.refuse {
		return nil
	}
	return new(upper)
}

// TestStdioChild asserts for TestStdio, in a process whose standard streams are pipes. It prints what is wrong on standard error.
func TestStdioChild(t *testing.T) {
	what := os.Getenv(stdioChild)
	if what == "" {
		t.Skip("only for TestStdio")
	}
	complain := func(ok bool, format string, a ...any) {
		if !ok {
			fmt.Fprintf(os.Stderr, format+"\n", a...)
		}
	}
	k, err := native.Open(what)
	if err != nil {
		t.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	no := &uppers{refuse: true}
	_, err = (&std.StdioServer{}).Listen(r, no)
	complain(errors.Is(err, reactor.ErrNoProtocol) && errors.Is(err, reactor.ErrListen) && no.stopped == 1, "without a protocol: %v", err)
	_, err = (&std.StdioServer{}).Listen(r, reactor.FactoryFunc(func(kernel.Addr) reactor.Protocol { panic("in the factory") }))
	_, panicked := errors.AsType[*reactor.PanicError](err)
	complain(panicked && errors.Is(err, reactor.ErrListen), "with a panic: %v", err)
	place, err := std.Schemes(nil).Server("stdio:")
	complain(err == nil, "GRAM-15: %v", err)
	f := new(uppers)
	l, err := place.Listen(r, f)
	complain(err == nil && f.built == 1 && f.started == 1 && f.peer.IsZero(), "EP-15: %v, %+v", err, f)
	_, err = place.Listen(r, f)
	complain(errors.Is(err, std.ErrUsed) && errors.Is(err, reactor.ErrListen), "a second Listen: %v", err)
	complain(l.Addr().IsZero() && len(endpoint.Addrs(l)) == 0, "addresses %v", endpoint.Addrs(l))
	calls := 0
	for range 2 {
		l.StopListening(func(err error) { calls++; complain(err == nil, "StopListening: %v", err) })
	}
	err = r.Run(context.Background())
	complain(err == nil && calls == 2 && f.stopped == 1, "Run: %v, %d calls, %+v", err, calls, f)
	os.Exit(0)
}

// EP-15: listening on standard input and output builds one protocol on a transport over the two, whose addresses are zero.
// GRAM-15: stdio has no arguments.
func TestStdio(t *testing.T) {
	for _, name := range native.Names() {
		text := strings.Repeat("hello, standard streams\n", 10_000)
		cmd := exec.Command(os.Args[0], "-test.run=^TestStdioChild$")
		cmd.Env = append(os.Environ(), stdioChild+"="+name)
		cmd.Stdin = strings.NewReader(text)
		var out, complaints bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &complaints
		if err := cmd.Run(); err != nil || complaints.Len() > 0 {
			t.Errorf("EP-15 on %s: %v\n%s", name, err, complaints.String())
		}
		if out.String() != strings.ToUpper(text) {
			t.Errorf("EP-15 on %s: %d bytes came back, not %d", name, out.Len(), len(text))
		}
	}
	if _, err := std.Schemes(nil).Server("stdio:1"); err == nil {
		t.Error("GRAM-15: stdio: takes an argument")
	}
	if got := fmt.Sprint(server(t, "stdio")); got != "stdio:" && got != "stdio" {
		t.Errorf("the description is %q", got)
	}
}
