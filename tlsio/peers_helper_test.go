package tlsio_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/tlsio"
)

// outside is a reactor and files for other programs, which have the real clock.
type outside struct {
	t        *testing.T
	r        *reactor.Reactor
	dir      string
	ca       *tlstest.Authority
	roots    string // the authority's certificate
	srv, cli string // both in one file each, of localhost and of "alice"
	cfg      *tls.Config
}

// needs skips a test where a program is missing.
func needs(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed here: what it would say of us is not known", program)
	}
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{t: t, dir: t.TempDir()}
	for _, w := range testworld.Worlds() {
		o.r = w.New(t, reactor.Config{})
		break
	}
	o.ca = tlstest.NewAuthorityAt("peers", time.Now())
	o.roots = o.write("ca.pem", o.ca.PEM())
	srv, cli := o.ca.Leaf("localhost", "127.0.0.1"), o.ca.Client("alice")
	o.srv, o.cli = o.write("srv.pem", tlstest.BothPEM(srv)), o.write("cli.pem", tlstest.BothPEM(cli))
	cfg, err := certs.ServerConfig(&certs.ServerOptions{
		Certificates: []certs.Source{{File: o.srv}}, NextProtos: []string{"echo", "other"},
	})
	if err != nil {
		t.Fatal(err)
	}
	o.cfg = cfg
	return o
}

func (o *outside) write(name string, data []byte) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

// until turns the reactor.
func (o *outside) until(cond func() bool) {
	o.t.Helper()
	testworld.Until(o.t, cond, o.r)
}

// listen listens on a free port of 127.0.0.1, and returns "127.0.0.1:port".
func (o *outside) listen(f reactor.Factory) string {
	o.t.Helper()
	p, err := o.r.Listen(loopback(), f, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	return p.Addr().String()
}

// dial connects p by TLS to "127.0.0.1:port".
func (o *outside) dial(addr string, p reactor.Protocol, change func(*certs.ClientOptions)) {
	o.t.Helper()
	opt := &certs.ClientOptions{Roots: certs.Roots{Files: []string{o.roots}}}
	if change != nil {
		change(opt)
	}
	cfg, err := certs.ClientConfig("localhost", opt)
	if err != nil {
		o.t.Fatal(err)
	}
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		o.t.Fatal(err)
	}
	o.r.Dial(kernel.TCPAddr(at.Addr(), at.Port()), tlsio.Client(cfg, one(p), nil), nil, func(_ reactor.Protocol, err error) {
		if err != nil {
			o.t.Errorf("dial: %v", err)
		}
	})
}

// program is another program that runs beside the reactor.
type program struct {
	o    *outside
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  transcript
	done chan struct{} // closed when it has ended
	err  error
}

// transcript is what a program prints, which another goroutine collects. It wakes the
// reactor, which may wait for nothing else.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
	r   *reactor.Reactor
}

func (s *transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.r.Post(func() {})
	return s.buf.Write(p)
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// run starts a program, whose outputs are collected together unless stdout is given.
// It is killed at the end of the test, if need be.
func (o *outside) run(stdout io.Writer, name string, args ...string) *program {
	o.t.Helper()
	p := &program{o: o, cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Dir, p.out.r = o.dir, o.r
	p.cmd.Stderr = &p.out
	p.cmd.Stdout = stdout
	if stdout == nil {
		p.cmd.Stdout = &p.out
	}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		o.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
		o.r.Post(func() {})
	}()
	o.t.Cleanup(func() {
		p.in.Close()
		p.cmd.Process.Kill()
		<-p.done
		if o.t.Failed() {
			o.t.Logf("%s said:\n%s", name, p.out.String())
		}
	})
	return p
}

// line gives the program a line.
func (p *program) line(text string) {
	p.o.t.Helper()
	if _, err := io.WriteString(p.in, text+"\n"); err != nil {
		p.o.t.Fatal(err)
	}
}

// says waits until it has printed text.
func (p *program) says(text string) {
	p.o.t.Helper()
	p.o.until(func() bool { return strings.Contains(p.out.String(), text) || p.over() })
	if !strings.Contains(p.out.String(), text) {
		p.o.t.Fatalf("it has ended (%v) and never said %q:\n%s", p.err, text, p.out.String())
	}
}

// over tells whether it has ended.
func (p *program) over() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// parrot is an end that sends back what it gets, and closes after so many bytes.
func parrot(limit int) *end {
	e := new(end)
	e.onData = func(p []byte) {
		e.tr.Write(p)
		if limit > 0 && len(e.got) >= limit {
			e.tr.Close()
		}
	}
	return e
}
