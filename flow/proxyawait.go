package flow

import "github.com/whorl-go/whorl/reactor"

// AwaitProxy has fn called when it is known whose connection t is, if a header is still waited for (ReadProxy): when it was read, or it is certain
// that none comes. Local and Remote of t are final then, and no input was delivered. It is called on the loop's goroutine, and never
// if the connection is lost before. The result tells whether anything is waited for; if not, fn is not called. It is for what must
// know the client before there is input, such as a proxy that passes the connection on.
func AwaitProxy(t reactor.Transport, fn func()) bool {
	for {
		l, ok := reactor.As[*link](t)
		if !ok {
			return false
		}
		if s, ok := l.c.policy.(*proxied); ok && s.state == gathering && l.c.inner != nil && s.reason == nil {
			s.known = append(s.known, fn)
			return true
		}
		t = l.below
	}
}
