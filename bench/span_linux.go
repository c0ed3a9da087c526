package main

import "time"

// span keeps the time of a slice. It warms up, measures, and then waits for what is
// outstanding.
type span struct {
	pid       int
	timeout   time.Duration
	phase     phase
	until     time.Duration // when this phase ends
	measure   time.Duration
	began     time.Duration
	cpu       time.Duration // the server's clock when measuring began
	messages  int64
	latencies histogram
	moved     time.Duration // when something last came back
	result    answer
}

type phase uint8

const (
	warming phase = iota
	measuring
	draining
)

func (s *span) begin(o *loadSpec, now, warm, measure time.Duration) {
	s.pid, s.timeout = o.PID, o.Timeout
	s.phase, s.until, s.measure, s.moved = warming, now+warm, measure, now
}

// count notes a message that came back complete.
func (s *span) count(now, sent time.Duration) {
	s.messages++
	s.latencies.add(now - sent)
}

// sending tells whether to send more messages.
func (s *span) sending() bool { return s.phase != draining }

// step enters the next phase when it is time.
func (s *span) step(now time.Duration) error {
	if now-s.moved > s.timeout {
		return errStalled
	}
	if s.phase == draining || now < s.until {
		return nil
	}
	if s.phase == measuring {
		return s.finish(now)
	}
	return s.measureFrom(now)
}

// measureFrom begins to measure.
func (s *span) measureFrom(now time.Duration) (err error) {
	s.phase, s.began, s.until = measuring, now, now+s.measure
	s.messages = 0
	s.latencies.reset()
	s.cpu, err = cpuTime(s.pid)
	return err
}

// beginOnce begins a slice in which all work begins at once. The slice ends with finish,
// when all of it is done.
func (s *span) beginOnce(o *loadSpec, now time.Duration) error {
	s.begin(o, now, 0, 0)
	err := s.measureFrom(now)
	s.phase = draining
	return err
}

// finish makes the result from what was counted until now.
func (s *span) finish(now time.Duration) error {
	cpu, err := cpuTime(s.pid)
	if err != nil {
		return err
	}
	s.phase = draining
	s.result = answer{
		Messages: s.messages,
		Seconds:  (now - s.began).Seconds(),
		CPU:      (cpu - s.cpu).Seconds(),
		P50:      s.latencies.quantile(.5),
		P99:      s.latencies.quantile(.99),
	}
	return nil
}
