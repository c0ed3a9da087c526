//go:build linux

package process_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/whorl-go/whorl/kernel/native"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
)

// tv shows what programs on the terminal write, until they are gone.
type tv struct{ reactor.Base }

func (*tv) DataReceived(p []byte) { fmt.Printf("%q\n", p) }

func (v *tv) ConnectionLost(err error) { fmt.Println(err); v.T.Reactor().Stop() }

// A terminal that this program plays. Here nobody but this program is on it.
func ExampleOpenPTY() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	pty, err := process.OpenPTY(process.Size{Columns: 80, Rows: 24})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := pty.Attach(r, new(tv), nil); err != nil {
		log.Fatal(err)
	}
	slave, err := os.OpenFile(pty.Name(), os.O_WRONLY, 0)
	if err != nil {
		log.Fatal(err)
	}
	pty.CloseSlave()
	fmt.Fprintln(slave, "hello")
	slave.Close()
	if err := r.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// "hello\r\n"
	// EOF
}

// shout sends its input back in capitals.
type shout struct{ reactor.Base }

func (s *shout) DataReceived(p []byte) {
	for i := range p {
		p[i] &^= 0x20
	}
	s.T.Write(p)
}

func (s *shout) ConnectionLost(error) { s.T.Reactor().Stop() }

// A filter: `program <file`, or `producer | program | consumer`.
func ExampleStdioOn() {
	k, err := native.Open("")
	if err != nil {
		log.Fatal(err)
	}
	r := reactor.New(k, reactor.Config{})
	in, toIn, _ := os.Pipe() // in a filter these are 0 and 1, and the call is Stdio
	fromOut, out, _ := os.Pipe()
	fmt.Fprint(toIn, "hello")
	toIn.Close()
	if _, err := process.StdioOn(r, int(in.Fd()), int(out.Fd()), new(shout), nil); err != nil {
		log.Fatal(err)
	}
	if err := r.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	b := make([]byte, 100)
	n, _ := fromOut.Read(b)
	fmt.Println(string(b[:n]))
	for _, f := range []*os.File{in, out, fromOut} {
		f.Close()
	}
	// Output: HELLO
}
