package hosttest

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Pair are two hosts that a cable joins: va of the first, 10.77.0.1 and fd77::1, and vb of the second, 10.77.0.2 and fd77::2.
// Its methods are for the test's goroutine.
type Pair struct {
	t  *testing.T
	ns [2]int
}

// NewPair makes them. The test is skipped if the machine does not let it, or has no "ip" and none of tools. The goroutine keeps its
// thread, which ends with the test, because it changes between the two.
func NewPair(t *testing.T, tools ...string) *Pair {
	t.Helper()
	for _, tool := range append(tools, "ip") {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	h := &Pair{t: t}
	for i := range h.ns {
		Unshare(t)
		fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		h.ns[i] = fd
		t.Cleanup(func() { unix.Close(fd) })
	}
	keeper := h.Start(1, "cat", nil) // a process gives the second namespace a name
	h.Run(0, "ip link add va type veth peer name vb netns "+strconv.Itoa(keeper.Process.Pid))
	for i, dev := range []string{"va", "vb"} {
		n := strconv.Itoa(i + 1)
		h.Run(i, "ip link set lo up")
		h.Run(i, "ip addr add 10.77.0."+n+"/24 brd + dev "+dev)
		h.Run(i, "ip link set "+dev+" up")
		h.Run(i, "ip -6 addr add fd77::"+n+"/64 dev "+dev+" nodad")
	}
	// The system takes a moment to notice that the cable has two ends, and drops what is sent meanwhile.
	for i, dev := range []string{"va", "vb"} {
		for end := time.Now().Add(10 * time.Second); !strings.Contains(h.Run(i, "ip link show "+dev), "state UP"); {
			if time.Now().After(end) {
				t.Fatalf("%s does not come up", dev)
			}
		}
	}
	return h
}

// Unshare gives the goroutine's thread, which it keeps, a network of its own. The test is skipped if that is not allowed.
func Unshare(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); errors.Is(err, unix.EPERM) {
		t.Skip("network namespaces need privileges")
	} else if err != nil {
		t.Fatal(err)
	}
}

// At changes to host i, 0 or 1.
func (h *Pair) At(i int) {
	h.t.Helper()
	if err := unix.Setns(h.ns[i], unix.CLONE_NEWNET); err != nil {
		h.t.Fatal(err)
	}
}

// Run changes to host i, runs a command of the shell there, and returns what it printed.
func (h *Pair) Run(i int, command string) string {
	h.t.Helper()
	h.At(i)
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if err != nil {
		h.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// Start changes to host i, and starts a program there, words apart by spaces, until the end of the test. Its standard error goes to log, or nowhere.
func (h *Pair) Start(i int, command string, log *os.File) *exec.Cmd {
	h.t.Helper()
	h.At(i)
	args := strings.Fields(command)
	cmd := exec.Command(args[0], args[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if log != nil {
		cmd.Stderr = log
	}
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		in.Close()
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}
