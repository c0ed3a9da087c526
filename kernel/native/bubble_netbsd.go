package native

// Clocks of clock_gettime, which package unix does not have for this system.
const (
	clockRealtime  = 0
	clockMonotonic = 3
)
