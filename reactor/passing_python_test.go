//go:build linux

package reactor_test

import (
	"bytes"
	"os"
	"os/exec"
	"testing"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// python3 gets the writing ends of two pipes by recv_fds, writes to them, and sends the reading ends of two
// others back by send_fds, in one message, with its answer.
const pythonPasses = `
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
got = []
while len(got) < 2:
    data, fds, flags, _ = socket.recv_fds(s, 100, 10)
    if not data: sys.exit("the end came after %d descriptors" % len(got))
    got += fds
for i, fd in enumerate(got): os.write(fd, b"to %d" % i)
ends = []
for i in range(2):
    r, w = os.pipe()
    os.write(w, b"from %d" % i)
    os.close(w)
    ends.append(r)
socket.send_fds(s, [b"here"], ends)
s.recv(1)
`

// Another program, in another language, exchanges descriptors with a stream both ways (FDP-2, FDP-5, FDP-6).
func TestPassingPython(t *testing.T) {
	python, err := exec.LookPath("/usr/bin/python3")
	if err != nil {
		t.Skip(err)
	}
	natives(t, func(t *testing.T, w testworld.World) {
		r := w.New(t, reactor.Config{})
		var srv passer
		o := &reactor.ListenConfig{}
		o.Descriptors = true
		port, err := r.Listen(socketName(t), one(&srv), o)
		if err != nil {
			t.Fatal(err)
		}
		var pipes [2][2]int
		for i := range pipes {
			if err := unix.Pipe2(pipes[i][:], unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
		}
		srv.onMade = func() {
			for _, p := range pipes {
				if err := srv.s.SendDescriptor(p[1]); err != nil {
					t.Error(err)
				}
				unix.Close(p[1])
			}
			srv.s.Write([]byte("go on"))
		}
		var out bytes.Buffer
		cmd := exec.Command(python, "-c", pythonPasses, port.Addr().Name)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait(); r.Post(func() {}) }()
		until(t, r, func() bool { return len(ended) > 0 || string(srv.got) == "here" && len(srv.fds) == 2 })
		if srv.s != nil {
			srv.s.Close()
		}
		until(t, r, func() bool { return len(ended) > 0 })
		if err := <-ended; err != nil {
			t.Fatalf("python3: %v: %s", err, out.String())
		}
		read := func(fd int) string {
			f := os.NewFile(uintptr(fd), "pipe")
			defer f.Close()
			b := make([]byte, 100)
			n, _ := f.Read(b)
			return string(b[:n])
		}
		for i, fd := range srv.fds {
			if got, want := read(fd), "from "+string(rune('0'+i)); got != want {
				t.Errorf("FDP-5, FDP-6: descriptor %d reads %q", i, got)
			}
			if got, want := read(pipes[i][0]), "to "+string(rune('0'+i)); got != want {
				t.Errorf("FDP-2, FDP-6: python3 wrote %q into descriptor %d", got, i)
			}
		}
	})
}
