package process_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// These tests build and run on every system, also where there are no children yet.

// talker is a protocol that says hello, and keeps what comes.
type talker struct {
	reactor.Base
	got []byte
	err error
}

func (p *talker) ConnectionMade(t reactor.Transport) {
	p.Base.ConnectionMade(t)
	_, _ = p.T.Write([]byte("hello"))
	_ = p.T.CloseWrite()
}
func (p *talker) DataReceived(b []byte)    { p.got = append(p.got, b...) }
func (p *talker) ConnectionLost(err error) { p.err = err }

// Simulated programs are started wherever Whorl builds (EP-16).
func TestConnSimulated(t *testing.T) {
	for _, w := range testworld.Worlds() {
		if !w.Simulated() {
			continue
		}
		r := w.New(t, reactor.Config{})
		p := new(talker)
		if _, err := process.Connect(r, process.NewCommand(testworld.ShellPath, "-c", "cat"), p, nil); err != nil {
			t.Fatal(err)
		}
		testworld.Until(t, func() bool { return p.err != nil }, r)
		if p.err != io.EOF || !bytes.Equal(p.got, []byte("hello")) {
			t.Errorf("EP-16: %q, %v", p.got, p.err)
		}
	}
}

// plainKernel has none of the capabilities of a kernel.
type plainKernel struct{ kernel.Kernel }

// A kernel that starts no programs, as that of a system without children, says so, and so do the terminals of such a system.
func TestUnsupported(t *testing.T) {
	for _, w := range testworld.Worlds() {
		r := testworld.New(t, plainKernel{w.Open(t)}, reactor.Config{})
		_, err := process.Connect(r, process.NewCommand("true"), new(talker), nil)
		if !errors.Is(err, kernel.ErrUnsupported) || !strings.Contains(err.Error(), "starts no programs") {
			t.Errorf("%v", err)
		}
	}
	if runtime.GOOS != "windows" {
		return
	}
	if _, err := process.OpenPTY(process.Size{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("OpenPTY: %v", err)
	}
	for _, w := range testworld.Worlds() {
		if _, err := process.Stdio(w.New(t, reactor.Config{}), new(talker), nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Stdio: %v", err)
		}
	}
}
