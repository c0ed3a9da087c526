package process

import (
	"testing"

	"golang.org/x/sys/unix"
)

// Somebody closes the description of our own of standard input, and another file gets its number. That file stays open at the end.
func TestOwnNumberGone(t *testing.T) {
	var in, other [2]int
	for _, p := range [][]int{in[:], other[:]} {
		if err := unix.Pipe2(p, unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		defer unix.Close(p[0])
		defer unix.Close(p[1])
	}
	d := openDescriptor(in[0], unix.O_RDONLY)
	if d.access != own {
		t.Fatalf("a pipe is accessed by %d", d.access)
	}
	number := d.again
	if err := unix.Dup3(other[0], number, unix.O_CLOEXEC); err != nil { // which closes it first
		t.Fatal(err)
	}
	d.close()
	if _, err := unix.FcntlInt(uintptr(number), unix.F_GETFD, 0); err != nil {
		t.Errorf("the other file is closed: %v", err)
	}
	unix.Close(number)

	d = openDescriptor(in[0], unix.O_RDONLY)
	number = d.again
	d.close()
	if _, err := unix.FcntlInt(uintptr(number), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("our own is not closed: %v", err)
	}
}
