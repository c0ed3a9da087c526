package native

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/whorl-go/whorl/kernel"
	"golang.org/x/sys/unix"
)

// refusal is a system call that answers errno instead of being made. With args it is so only if the arguments from the second on are these.
type refusal struct {
	call  uint32
	errno unix.Errno
	args  []uint32
}

// filter is a program of seccomp for refusals. It looks at the lower half of each argument.
func filter(refusals []refusal) (f []unix.SockFilter) {
	const load, equal, ret = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	const firstArg = 16 // of struct seccomp_data
	for _, r := range refusals {
		left := uint8(2*len(r.args) + 1) // instructions behind the comparison of the call
		f = append(f, unix.SockFilter{Code: load}, unix.SockFilter{Code: equal, K: r.call, Jf: left})
		for i, a := range r.args {
			left -= 2
			f = append(f, unix.SockFilter{Code: load, K: uint32(firstArg + 8*(i+1))}, unix.SockFilter{Code: equal, K: a, Jf: left})
		}
		f = append(f, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(r.errno)})
	}
	const allow = 0x7fff0000 // SECCOMP_RET_ALLOW
	return append(f, unix.SockFilter{Code: ret, K: allow})
}

// testUnder runs the tests that match run again, in a process to which the system refuses calls, as an old kernel and the filters of
// containers do.
func testUnder(t *testing.T, run string, refusals ...refusal) {
	t.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("the filter reads arguments of 64 bits, the lower half first")
	}
	cmd := exec.Command(os.Args[0], "-test.run="+run, "-test.count=1", "-test.v", "-test.timeout=60s")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with its filter, which the process that it starts has inherited
		f := filter(refusals)
		program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
		err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
		if err == nil {
			err = unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
		}
		if err != nil {
			started <- err
			return
		}
		started <- cmd.Start()
	}()
	err := <-started
	if err == unix.EINVAL || err == unix.EACCES || err == unix.EPERM {
		t.Skip("no filter of system calls here:", err)
	}
	if err == nil {
		err = cmd.Wait() // by a thread to which nothing is refused
	}
	if err != nil {
		t.Errorf("%v with %v: %v\n%s", run, refusals, err, failures(out.String()))
	}
	if !strings.Contains(out.String(), "--- PASS") {
		t.Errorf("%v: no test has run:\n%s", run, out.String())
	}
}

// failures is what failed tests have said.
func failures(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if !strings.Contains(line, "=== ") && !strings.Contains(line, "--- PASS") && !strings.Contains(line, "--- SKIP") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// Children are signalled, alone and with their group, where pidfd_send_signal is refused: by their number (PROC-40).
func TestSpawnWithoutPidfdSignal(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM} {
		testUnder(t, "TestKernels/epoll/Spawn", refusal{call: unix.SYS_PIDFD_SEND_SIGNAL, errno: errno})
	}
}

// The exit of a child is told where waitid is refused: by wait4 (PROC-40).
func TestSpawnWithoutWaitid(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM} {
		testUnder(t, "TestKernels/epoll/Spawn", refusal{call: unix.SYS_WAITID, errno: errno})
	}
}

// Where ptrace is refused, the error of a start with limits is about them, and not about the program.
func TestSpawnWithoutPtrace(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM} {
		testUnder(t, "TestTraced$", refusal{call: unix.SYS_PTRACE, errno: errno})
	}
}

// TestTraced starts a program with limits. It fails only if the system lets nobody be traced.
func TestTraced(t *testing.T) {
	b := openWith(t, "epoll")
	_, _, refused := unix.RawSyscall(unix.SYS_PTRACE, unix.PTRACE_DETACH, 0, 0)
	x, err := b.Spawn(&kernel.ChildCommand{Path: "/bin/true", Args: []string{"true"},
		Limits: []kernel.ResourceLimit{{Resource: unix.RLIMIT_NOFILE, Soft: 50, Hard: 50}}})
	if err == nil {
		finish(t, b, x)
		x.Close()
	}
	var e *kernel.SpawnError
	switch {
	case refused == unix.ESRCH:
		if err != nil {
			t.Error(err)
		}
	case !errors.As(err, &e) || e.Op != "limit" || !errors.Is(err, refused) || !strings.Contains(err.Error(), `"limits": ptrace: `):
		t.Errorf("without ptrace: %v", err)
	}
	_, err = b.Spawn(&kernel.ChildCommand{Path: "/bin/nothing", Args: []string{"nothing"}})
	if !errors.As(err, &e) || e.Op != "exec" || !errors.Is(err, unix.ENOENT) {
		t.Errorf("a program that is missing: %v", err)
	}
}

// Datagrams come and go where recvmmsg and sendmmsg are refused: one by one.
func TestPacketsWithoutBatches(t *testing.T) {
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM} {
		testUnder(t, "TestKernels/epoll/(Packet|UNIXDatagram)", refusal{call: unix.SYS_RECVMMSG, errno: errno},
			refusal{call: unix.SYS_SENDMMSG, errno: errno})
	}
}

// Where setsockopt and getsockopt know no UDP_SEGMENT, as before Linux 4.18, no datagrams leave as one message: the system would
// skip what says how to cut it up, and send one long datagram.
func TestPacketsWithoutSegments(t *testing.T) {
	testUnder(t, "TestUncut", refusal{call: unix.SYS_GETSOCKOPT, errno: unix.ENOPROTOOPT, args: []uint32{unix.SOL_UDP, unix.UDP_SEGMENT}},
		refusal{call: unix.SYS_SETSOCKOPT, errno: unix.ENOPROTOOPT, args: []uint32{unix.SOL_UDP, unix.UDP_SEGMENT}})
}

// TestUncut looks at the messages that are made of datagrams to one peer: on a system without UDP_SEGMENT each is one datagram.
func TestUncut(t *testing.T) {
	k := openFirst(t)
	for _, to := range []bool{false, true} {
		c, d := testUDP(t, k, nil), testUDP(t, k, nil)
		p := equals(d.Local(), 4, 100)
		if to {
			if err := c.Connect(d.Local()); err != nil {
				t.Fatal(err)
			}
			for i := range p {
				p[i].Peer = kernel.Addr{}
			}
		}
		testPut(t, c, p)
		if got := c.b.out.used; c.noGSO && got != len(p) {
			t.Errorf("%d datagrams left as %d messages", len(p), got)
		}
		if v, err := unix.GetsockoptInt(int(c.fd), unix.SOL_UDP, unix.UDP_SEGMENT); (err == nil) == c.noGSO {
			t.Errorf("UDP_SEGMENT is %d, %v, but is not to be used: %v", v, err, c.noGSO)
		}
	}
}
