package native

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// trialEvery is how many waits are between two trials: twice as many each time that nothing has changed, up to seldomTrials.
	trialEvery   = 8192
	seldomTrials = 8 * trialEvery
	// trialWaits is how many waits of each kind are compared, and trialWarm how many before them do not count: the waits of
	// the other kind still have an effect on them.
	trialWaits = 96
	trialWarm  = 32
	// dearer is how much more processor time a loop may take for its answers to come sooner.
	dearer = 1.1
)

// trial finds out whether spins that find something are worth it. How long a client takes to ask again, and what it costs to block and
// to be woken, depend on the machine, and both change by half from one minute to the next. So the loop tries both from time to time:
// it blocks at some waits, spins at as many, and compares the processor time that it has taken for each byte, or datagram, that it has read.
type trial struct {
	state    trialState
	dear     bool // spins take too much
	waits    int  // in the state
	every    int  // the waits until the next trial, or 0: trialEvery
	thread   int
	time     time.Duration // processor time of the thread, and
	read     uint64        // bytes that were read, when the comparison began
	blocking float64       // processor time for a byte, of the waits that block
	ratio    float64       // of the spins to that: an average of the last trials; 0: there was none
}

type trialState uint8

const (
	trialRests trialState = iota
	trialBlocks
	trialSpins
)

// step follows each wait, and returns what the next one has to do. spins tells whether the loop spins, but for t.
func (t *trial) step(read uint64, spins bool) trialState {
	t.waits++
	switch {
	case t.state == trialRests:
		if t.waits >= max(t.every, trialEvery) && (spins || t.dear) {
			t.become(trialBlocks)
		}
	case t.waits == trialWarm:
		t.thread, t.time, t.read = unix.Gettid(), threadTime(), read
	case t.waits == trialWarm+trialWaits:
		t.compare(read)
	}
	return t.state
}

// compare follows the last wait of one kind. If the loop has come to another thread, or has read nothing, nothing is known.
func (t *trial) compare(read uint64) {
	if t.thread != unix.Gettid() || read == t.read {
		t.become(trialRests)
		return
	}
	cost := float64(threadTime()-t.time) / float64(read-t.read)
	if t.state == trialBlocks {
		t.blocking = cost
		t.become(trialSpins)
		return
	}
	ratio := min(cost/t.blocking, 2*dearer) // something else may have taken the time
	if t.ratio == 0 {
		t.ratio = ratio
	}
	t.ratio += (ratio - t.ratio) / 4
	if dear := t.ratio > dearer; dear == t.dear {
		t.every = min(2*max(t.every, trialEvery), seldomTrials)
	} else {
		t.dear, t.every = dear, trialEvery
	}
	t.become(trialRests)
}

func (t *trial) become(s trialState) { t.state, t.waits = s, 0 }

// threadTime is the processor time of the calling thread.
func threadTime() time.Duration {
	var ts unix.Timespec
	syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_THREAD_CPUTIME_ID, uintptr(unsafe.Pointer(&ts)), 0)
	return time.Duration(ts.Nano())
}
