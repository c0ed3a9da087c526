package std

import "time"

// A port logs at most quotaLines failed connections in a quotaPeriod.
const (
	quotaLines  = 10
	quotaPeriod = time.Second
)

// quota limits how many lines peers can cause in a log.
type quota struct {
	until   time.Duration // the end of the period
	lines   int           // in this period
	missing int           // lines left out since the last one that was written
}

// take tells whether a line may be written now, and how many were left out since the
// last one.
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
