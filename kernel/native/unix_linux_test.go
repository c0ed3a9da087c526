package native

import (
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// A read ends at a message with a descriptor, though there is more behind it. The conn is reported
// again until all was read, and the descriptor, which nobody asked for, is closed.
func TestUNIXReadPastDescriptor(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			k, err := Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer k.Close()
			path := filepath.Join(t.TempDir(), "s")
			l, err := listenAt(t, k, path, kernel.UNIXOptions{})
			if err != nil {
				t.Fatal(err)
			}
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
				t.Fatal(err)
			}
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var pipe [2]int
			if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
				t.Fatal(err)
			}
			defer unix.Close(pipe[0])
			for _, m := range []struct {
				text string
				oob  []byte
			}{{"AAAA", nil}, {"BBBB", unix.UnixRights(pipe[1])}, {"CCCC", nil}} {
				if err := unix.Sendmsg(fd, []byte(m.text), m.oob, nil, 0); err != nil {
					t.Fatal(err)
				}
			}
			unix.Close(pipe[1])
			if err := k.Arm(s, 7, kernel.Readable); err != nil {
				t.Fatal(err)
			}
			got := ""
			for range 20 {
				ev := make([]kernel.Event, 4)
				n, err := k.Wait(ev, k.Now()+1e7)
				if err != nil {
					t.Fatal(err)
				}
				if n > 0 {
					buf := make([]byte, 100)
					if n, err := s.Read(buf); err == nil {
						got += string(buf[:n])
					}
				}
			}
			if got != "AAAABBBBCCCC" {
				t.Errorf("read %q", got)
			}
			if n, err := unix.Read(pipe[0], make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("the descriptor is still open somewhere: %d, %v", n, err)
			}
		})
	}
}
