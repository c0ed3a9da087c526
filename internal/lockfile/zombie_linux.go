package lockfile

import (
	"bytes"
	"os"
	"strconv"
)

// isZombie tells whether the process has ended, and only its parent has not asked for its status yet. A number of threads above
// one means that the first thread alone has ended.
func isZombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false // without /proc the number alone tells
	}
	// After the name, which may contain anything, come the state and 16 numbers up to that of the threads.
	const state, threads = 0, 17
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) <= threads || string(f[state]) != "Z" {
		return false
	}
	n, err := strconv.Atoi(string(f[threads]))
	return err == nil && n <= 1
}
