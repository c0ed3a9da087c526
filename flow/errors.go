package flow

import "github.com/whorl-go/whorl/kernel"

// Errors of PROXY headers, to be asked for with errors.Is.
var (
	// ErrProxyHeader: a PROXY header is missing or bad, or one cannot be written.
	ErrProxyHeader = kernel.Sentinel("bad PROXY header")
	// ErrProxyTimeout: the PROXY header did not come in time. It is ErrProxyHeader too.
	ErrProxyTimeout = kernel.Sentinel("the PROXY header did not come in time", ErrProxyHeader)
)
