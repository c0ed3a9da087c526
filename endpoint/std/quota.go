package std

import "time"

// How many lines one port writes about connections that failed, and in what time.
const (
	quotaLines  = 10
	quotaPeriod = time.Second
)

// quota bounds the lines in a log that peers can cause.
type quota struct {
	until   time.Duration // the end of the period
	lines   int           // in this period
	missing int           // not written since the last line
}

// take tells whether a line may be written now, and how many were not since the last.
func (q *quota) take(now time.Duration) (missing int, ok bool) {
	if now >= q.until {
		q.until, q.lines = now+quotaPeriod, 0
	}
	if q.lines == quotaLines {
		q.missing++
		return 0, false
	}
	q.lines++
	missing, q.missing = q.missing, 0
	return missing, true
}
