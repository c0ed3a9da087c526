package native

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// TCP-103: without MayWait nothing is sent of a range that is not all in memory. What is in memory is sent, if the system tells that it is.
func TestWriteFileNotInMemory(t *testing.T) {
	const size, half = 1 << 20, 512 << 10
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	_, files, _ := testPair(t, testKernel(t, "epoll", Options{}))
	send := func(offset int64, n int) (int, error) {
		return files.WriteFile(kernel.FileRange{File: f, Offset: offset, Length: n})
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if n, err := send(0, 64<<10); n != 0 || err != kernel.ErrMustRead {
		t.Errorf("of a file on the disk: %d, %v", n, err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil { // no more is read than asked for
		t.Fatal(err)
	}
	if _, err := f.ReadAt(make([]byte, half), 0); err != nil {
		t.Fatal(err)
	}
	if n, err := send(0, 64<<10); n == 0 || err != nil {
		t.Skipf("this system, or its file system, does not tell what is in memory: %d, %v", n, err)
	}
	for _, c := range []struct {
		offset int64
		n      int
		sent   bool
	}{{100, 5000, true}, {half - 4096, 4096, true}, {half - 4096, 4097, false}, {half, 1, false}, {half - 128<<10, 256 << 10, false}} {
		if n, err := send(c.offset, c.n); (n > 0) != c.sent || (err == nil) != c.sent {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
	}
}

// A call of WriteFile allocates little, whatever it sends.
func TestWriteFileAllocs(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, files, _ := testPair(t, testKernel(t, "epoll", Options{}))
	n := testing.AllocsPerRun(100, func() {
		if n, err := files.WriteFile(kernel.FileRange{File: f, Length: 1000}); n != 0 || err != kernel.ErrMustRead {
			t.Fatal(n, err)
		}
	})
	if n > 4 {
		t.Errorf("%v allocations", n)
	}
}
