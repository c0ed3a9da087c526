package native

import (
	"runtime"
	"testing"
	"time"
)

// trials makes waits until n trials are over. Each wait reads a byte, and takes a little, and as much more processor time as it is told if it
// blocks, or spins.
func trials(t *testing.T, s *spinner, n int, blocks, spins time.Duration) {
	t.Helper()
	read := uint64(0)
	for over, was := 0, trialRests; over < n; was = s.trial.state {
		spun := s.due(read)
		if want := s.trial.state == trialSpins || s.trial.state == trialRests && !s.trial.dear; spun != want {
			t.Fatalf("in state %v, dear is %v: to spin is %v", s.trial.state, s.trial.dear, spun)
		}
		if s.trial.state == trialRests && was != trialRests {
			over++
		}
		more := time.Microsecond
		switch s.trial.state {
		case trialBlocks:
			more += blocks
		case trialSpins:
			more += spins
		}
		for end := threadTime() + more; s.trial.state != trialRests && threadTime() < end; {
		}
		read++
	}
}

// TestTrial: a loop whose spins take more processor time than to block spins no more, and again when they do not. A few trials that something has
// disturbed change nothing.
func TestTrial(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const much = 20 * time.Microsecond
	s := spinner{credit: maxCredit}
	for i, c := range []struct {
		n             int
		blocks, spins time.Duration
		dear          bool
	}{{1, 0, much, true}, {20, much, 0, false}, {1, 0, 10 * much, false}, {20, much, 0, false}, {1, 10 * much, 11 * much, false}, {20, 0, much, true}, {1, much, 0, true}} {
		was := s.trial
		trials(t, &s, c.n, c.blocks, c.spins)
		want := trialEvery
		if c.n > 4 {
			want = seldomTrials
		} else if was.dear == c.dear {
			want = min(2*max(was.every, trialEvery), seldomTrials)
		}
		if s.trial.every != want {
			t.Errorf("%d: after %d trials the next comes after %d waits, want %d", i, c.n, s.trial.every, want)
		}
		if s.trial.dear != c.dear {
			t.Errorf("%d: after %d trials with %v to block and %v to spin: dear is %v, the ratio %v", i, c.n, c.blocks, c.spins, s.trial.dear, s.trial.ratio)
		}
	}
}

// TestTrialKnowsNothing: a trial without anything read, or on several threads, changes nothing. A loop that does not spin makes none.
func TestTrialKnowsNothing(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for name, disturb := range map[string]func(*trial, *uint64){
		"nothing read":   func(x *trial, read *uint64) { *read = x.read },
		"another thread": func(x *trial, _ *uint64) { x.thread = -1 },
	} {
		x, read := trial{dear: true, ratio: 5}, uint64(0)
		ends := 0
		for range 3 * trialEvery {
			read++
			if x.state != trialRests && x.waits == trialWarm+trialWaits-1 {
				disturb(&x, &read)
				ends++
			}
			x.step(read, true)
		}
		if !x.dear || x.ratio != 5 || ends == 0 {
			t.Errorf("%s: after %d phases it is %+v", name, ends, x)
		}
	}
	x := trial{dear: true}
	for range trialEvery {
		x.step(0, false)
	}
	if x.state == trialRests {
		t.Error("a loop that does not spin because it is too dear has no trial")
	}
	x = trial{}
	for range 3 * trialEvery {
		if x.step(0, false) != trialRests {
			t.Fatal("a loop that does not spin has a trial")
		}
	}
}

// TestTrialReads: what a socket gives is counted.
func TestTrialReads(t *testing.T) {
	k := testEpoll(t, WaitBlock)
	_, c, s := testPair(t, k)
	_, _ = c.Write([]byte("abc"))
	testReady(t, k, s, 1)
	_, _ = s.Read(make([]byte, 8))
	a, b := udpAt(t, k, here4), udpAt(t, k, here4)
	sends(t, a, run(b.Local(), 4, 9))
	receive(t, k, b, 4)
	if k.read != 7 {
		t.Errorf("3 bytes and 4 datagrams count as %d", k.read)
	}
}
