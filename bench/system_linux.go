package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the CPU time that process pid has used, to the nanosecond, from the
// process' CPU clock. The ticks of /proc/PID/stat are too coarse for a slice of a tenth
// of a second.
func cpuTime(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED; the bits above are the inverted pid
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// residentBytes returns the resident memory of process pid. smaps_rollup is exact. The
// count in statm may be stale by some pages for each CPU.
func residentBytes(pid int) (int64, error) {
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
		for line := range bytes.Lines(b) {
			if f := strings.Fields(string(line)); len(f) >= 2 && f[0] == "Rss:" {
				kib, err := strconv.ParseInt(f[1], 10, 64)
				return kib << 10, err
			}
		}
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, errors.New("statm: too short")
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

// busyTime returns how long cpus have been busy for anybody, including the host of a
// virtual machine. It counts in ticks of 10 ms.
func busyTime(cpus []int) time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	var ticks int64
	for line := range bytes.Lines(b) {
		f := strings.Fields(string(line))
		if len(f) < 9 {
			continue
		}
		for _, c := range cpus {
			if f[0] != "cpu"+strconv.Itoa(c) {
				continue
			}
			for _, i := range []int{1, 2, 3, 6, 7, 8} { // all but idle and waiting for a disk
				n, _ := strconv.ParseInt(f[i], 10, 64)
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// raiseFileLimit raises the limit on descriptors of this process as far as it may. It
// returns the limit.
func raiseFileLimit() int {
	const wanted = 12000
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024
	}
	if l.Max < wanted {
		more := unix.Rlimit{Cur: wanted, Max: wanted} // works for root
		if unix.Setrlimit(unix.RLIMIT_NOFILE, &more) == nil {
			return wanted
		}
	}
	if l.Cur < l.Max {
		l.Cur = l.Max
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
			return 1024
		}
	}
	return int(min(l.Cur, 1<<20))
}

// allowedCPUs are the CPUs this process may run on.
func allowedCPUs() ([]int, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	var cpus []int
	for c := 0; len(cpus) < set.Count(); c++ {
		if set.IsSet(c) {
			cpus = append(cpus, c)
		}
	}
	return cpus, nil
}

// congestionControl returns the name of TCP's default congestion control, "" if it is not
// known.
func congestionControl() string {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_congestion_control")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
