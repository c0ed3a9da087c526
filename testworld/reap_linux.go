package testworld

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// children lists the children of this process.
func children() (pids []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, name := range names {
		text, _ := os.ReadFile(name) // the process may have ended
		// "123 (name, which may have anything in it) S 122 ...": the fourth field is the parent.
		_, rest, _ := bytes.Cut(text[bytes.LastIndexByte(text, ')')+1:], []byte(" "))
		fields := bytes.Fields(rest)
		if len(fields) < 2 || string(fields[1]) != strconv.Itoa(os.Getpid()) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// reapChild takes the exit status of a child, and tells whether it is gone.
func reapChild(pid int) bool {
	got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
	return got == pid || err == syscall.ECHILD
}

// killChild kills a child and reaps it.
func killChild(pid int) {
	_ = syscall.Kill(pid, syscall.SIGKILL) // it may have exited
	for {
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != syscall.EINTR {
			return
		}
	}
}
