package flow

import "github.com/whorl-go/whorl/kernel"

// Errors to be asked for with errors.Is.
var (
	// ErrSeveralLoops: rates that connections share belong to one loop, and a connection of another loop has come (POL-5).
	ErrSeveralLoops = kernel.Sentinel("the rates of LimitRate belong to one loop, and a connection is on another one; use a factory for each loop, or rates for each connection alone")
	// ErrProxyHeader: a PROXY header is missing or bad, or one cannot be written.
	ErrProxyHeader = kernel.Sentinel("bad PROXY header")
	// ErrProxyTimeout: the PROXY header did not come in time. It is ErrProxyHeader too.
	ErrProxyTimeout = kernel.Sentinel("the PROXY header did not come in time", ErrProxyHeader)
)
