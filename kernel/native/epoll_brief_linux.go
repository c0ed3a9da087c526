package native

import (
	"runtime"
	"runtime/metrics"
	"time"
)

const (
	// briefTime is how long a loop keeps its P at most before it lets other goroutines run.
	briefTime = time.Millisecond
	// briefPace is how long its waits may take on average. A loop that waits longer gains too little.
	briefPace = 200 * time.Microsecond
	// minCalm and maxCalm are how many waits give the P up before the loop keeps it: the number doubles whenever a goroutine is found that
	// had to wait for it, and is halved after calmTimes times without one.
	minCalm   = 64
	maxCalm   = 1 << 16
	calmTimes = 1024
)

// brief decides whether a loop that has no P to spare keeps its P all the same while it waits, for a millisecond at a time. To give the P up and
// to get it back at each wait costs a twentieth of what a message costs. It is in vain while no other goroutine wants to run. After each
// millisecond the loop asks the runtime whether one does.
type brief struct {
	on    bool
	calm  int           // waits that have given the P up since it was on
	need  int           // how many must, or 0: minCalm
	since time.Duration // when the first of them was
	until time.Duration // when others may run next
	seen  bool          // an event has come since they last could
	times int           // how often in a row nobody wanted to
	ask   [1]metrics.Sample
}

// keepUntil returns how long a wait until then may last. That is less while the loop keeps its P, which may end here.
func (k *epoll) keepUntil(until time.Duration) time.Duration {
	if b := &k.wait.brief; b.on {
		if k.last >= b.until {
			k.giveWay()
		}
		if b.on {
			return min(until, b.until)
		}
	}
	return until
}

// giveWay lets other goroutines run. If there were any, the loop no longer keeps its P, and also if nothing has come meanwhile: an idle loop
// holds nothing.
func (k *epoll) giveWay() {
	b := &k.wait.brief
	others := b.others()
	runtime.Gosched() // also for those whose timer is due: the runtime looks at timers here
	switch b.times++; {
	case others:
		b.end()
		b.need = min(2*max(b.need, minCalm), maxCalm)
	case !b.seen:
		b.end()
	case b.times%calmTimes == 0:
		b.need /= 2
		if k.wait.recount(k); k.wait.mode == WaitHold {
			b.end()
		}
	}
	b.seen = false
	b.until = k.Now() + briefTime
}

func (b *brief) end() { b.on, b.calm, b.times = false, 0, 0 }

// others tells whether another goroutine waits for a P.
func (b *brief) others() bool {
	b.ask[0].Name = "/sched/goroutines/runnable:goroutines"
	metrics.Read(b.ask[:])
	return b.ask[0].Value.Kind() != metrics.KindUint64 || b.ask[0].Value.Uint64() > 0
}

// gaveUp counts a wait that gives the P up. After enough of them, one soon after the other, the loop keeps it.
func (k *epoll) gaveUp() {
	b := &k.wait.brief
	if b.calm++; b.calm == 1 {
		b.since = k.Now()
	}
	need := max(b.need, minCalm)
	if b.calm < need {
		return
	}
	now := k.Now()
	b.calm = 0
	if now-b.since <= time.Duration(need)*briefPace {
		b.on, b.until = true, now+briefTime
		k.wait.roused = false // the monitor may have fallen asleep while the loop had no P
	}
}
