package native

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// helperProcess runs a test of this binary in a process of its own, after set.
func helperProcess(t *testing.T, name string, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+name+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "WHORL_SPAWN_HELPER="+name)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+name) {
		t.Errorf("%v\n%s", err, out)
	}
}

func isHelper(name string) bool { return os.Getenv("WHORL_SPAWN_HELPER") == name }

// PROC-16: without descriptors a start fails at every step, and leaves nothing.
func TestSpawnNoDescriptors(t *testing.T) {
	if !isHelper("TestSpawnNoDescriptors") {
		helperProcess(t, "TestSpawnNoDescriptors", nil)
		return
	}
	b := openWith(t, "epoll")
	own := leaktest.Descriptors()
	var taken []int
	for {
		fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if taken = append(taken, fd); len(taken) == 20 {
			break
		}
	}
	top := taken[len(taken)-1]
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	l.Cur = uint64(top) + 1
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	c := &kernel.ChildCommand{Path: "/bin/true", Args: []string{"true"}, Files: []kernel.ChildFile{
		{Number: 0, Kind: kernel.WritePipe}, {Number: 1, Kind: kernel.ReadPipe}, {Number: 2, Kind: kernel.NullFile}}}
	for _, without := range []bool{false, true} {
		b.noPidfd = without
		failed, at := 0, len(taken)
		for ; at > 0; at-- { // one more descriptor each time
			before := open(top)
			x, err := b.Spawn(c)
			if err == nil {
				for _, n := range []int{0, 1} {
					x.Pipe(n).Close()
				}
				finishLow(t, b, x)
				x.Close()
				break
			}
			if failed++; !errors.Is(err, kernel.ErrTooManyFiles) {
				t.Errorf("PROC-16: %v", err)
			}
			if after := open(top); !slices.Equal(after, before) {
				t.Errorf("PROC-16: open %v, before %v", after, before)
			}
			unix.Close(taken[at-1])
		}
		if failed < 5 {
			t.Errorf("failed %d times", failed)
		}
		for ; at < len(taken); at++ {
			fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			taken[at] = fd
		}
		noChildren(t)
	}
	closeFiles(taken)
	// A number that the process may not have.
	high := &kernel.ChildCommand{Path: "/bin/true", Args: []string{"true"}, Files: []kernel.ChildFile{{Number: top + 10, Kind: kernel.NullFile}}}
	if _, err := b.Spawn(high); !errors.Is(err, kernel.ErrTooManyFiles) {
		t.Errorf("PROC-16: a number above the limit: %v", err)
	}
	if n := leaktest.Descriptors(); n != own {
		t.Errorf("%d descriptors, %d before", n, own)
	}
}

// open lists the numbers up to top that are open. It needs no descriptor.
func open(top int) (all []int) {
	for fd := range top + 1 {
		if isOpen(fd) == nil {
			all = append(all, fd)
		}
	}
	return all
}

// finishLow waits for the exit by the kernel.
func finishLow(t *testing.T, b *base, x kernel.Child) {
	t.Helper()
	k := b.set.(kernel.Kernel)
	if err := k.Arm(x, 2, kernel.Readable); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Wait(make([]kernel.Event, 4), kernel.Forever); err != nil {
		t.Fatal(err)
	}
	if e, gone, err := x.Wait(); !gone || err != nil || e.Code != 0 {
		t.Errorf("%+v, %v, %v", e, gone, err)
	}
}

// PROC-16: more processes than the user may have are a typed error.
func TestSpawnTooManyProcesses(t *testing.T) {
	const user = 54_321
	if os.Geteuid() != 0 {
		t.Skip("only root can take a user that has no process")
	}
	if !isHelper("TestSpawnTooManyProcesses") {
		helperProcess(t, "TestSpawnTooManyProcesses", nil)
		return
	}
	b := openWith(t, "poll")
	if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{}); err != nil {
		t.Fatal(err)
	}
	// This process is root's, for whom the limit does not hold. It holds for the child when that has taken its user.
	as := &kernel.Credential{UID: user, GID: user}
	first, err := b.Spawn(&kernel.ChildCommand{Path: "/bin/sleep", Args: []string{"sleep", "1000"}, Credential: as})
	if err != nil {
		t.Fatal(err)
	}
	before := leaktest.Descriptors()
	_, err = b.Spawn(&kernel.ChildCommand{Path: "/bin/true", Args: []string{"true"}, Credential: as,
		Files: []kernel.ChildFile{{Number: 0, Kind: kernel.WritePipe}}})
	if !errors.Is(err, kernel.ErrTooManyProcesses) || !errors.Is(err, kernel.ErrNoResources) || !errors.Is(err, unix.EAGAIN) {
		t.Errorf("PROC-16: %v", err)
	}
	if n := leaktest.Descriptors(); n != before {
		t.Errorf("PROC-16: %d descriptors, %d before", n, before)
	}
	if err := first.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	finish(t, b, first)
	first.Close()
	noChildren(t)
}
