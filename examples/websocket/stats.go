package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
)

// stats is what the room costs: users, heap, stacks, memory in RAM and processor time. What the system does not tell is 0.
func (s *site) stats() string {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools hold is free after the second
	runtime.ReadMemStats(&m)
	return fmt.Sprintf("users %d heap %d stacks %d goroutines %d rss %d cpu_ms %d", s.room.Len(), m.HeapAlloc, m.StackInuse, runtime.NumGoroutine(), resident(), processorTime())
}

// field is number n of a file of /proc.
func field(file string, n int) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if n >= len(fields) {
		return 0
	}
	v, _ := strconv.ParseInt(string(fields[n]), 10, 64)
	return v
}

// resident is the memory in RAM, in bytes.
func resident() int64 { return field("/proc/self/statm", 1) * int64(os.Getpagesize()) }

// processorTime is that of the program and of the system for it, in milliseconds: the system counts it in hundredths of a second.
func processorTime() int64 {
	return 10 * (field("/proc/self/stat", 13) + field("/proc/self/stat", 14))
}
