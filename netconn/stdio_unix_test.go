//go:build unix

package netconn_test

import (
	"io"
	"os"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// NETCONN-6: when nobody reads standard output any more, Write fails and Read goes on. No descriptor is left, also if the program has closed its own before the
// Conn ends.
func TestStdioBroken(t *testing.T) {
	for name, w := range testworld.Native() {
		for _, how := range []string{"closed first", "closed by the program", "stopped"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				leaktest.KeepsDescriptors(t)
				r := running(t, w)
				in, ours, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				theirs, out, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				all := []*os.File{in, ours, theirs, out}
				for _, f := range all {
					defer f.Close()
				}
				inFD, outFD := int(in.Fd()), int(out.Fd())
				c, err := reactor.Ask(r, func() (*netconn.Conn, error) {
					c := netconn.New(r, nil)
					_, err := process.StdioOn(r, inFD, outFD, c.Protocol(), &process.StdioConfig{CloseAtEnd: true})
					return c, err
				})
				if err != nil {
					t.Fatal(err)
				}
				_ = theirs.Close()
				for err = error(nil); err == nil; {
					_, err = c.Write([]byte("x"))
				}
				wantNetError(t, err, kernel.ErrBroken, "write")
				_, _ = ours.Write([]byte("there"))
				got := make([]byte, 5)
				if _, err := io.ReadFull(c, got); string(got) != "there" || err != nil {
					t.Errorf("%q and %v came", got, err)
				}
				switch how {
				case "stopped":
					return // and the loop ends with the test
				case "closed by the program":
					for _, f := range all {
						_ = f.Close()
					}
				}
				_ = c.Close()
				until(t, func() bool {
					n, _ := reactor.Ask(r, func() (int, error) { return r.Stats().Connections, nil })
					return n == 0
				})
			})
		}
	}
}
