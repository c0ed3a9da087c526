package double_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/reactor"
)

// noted is a testing.TB that keeps what a double complains of.
type noted struct {
	testing.TB
	failures []string
}

func (n *noted) Helper() {}
func (n *noted) Errorf(form string, v ...any) {
	n.failures = append(n.failures, fmt.Sprintf(form, v...))
}

// Fatalf ends the test body, as that of a *testing.T does.
func (n *noted) Fatalf(form string, v ...any) {
	n.Errorf(form, v...)
	panic(fatal{})
}

type fatal struct{}

// complaints are what body has complained of.
func complaints(t *testing.T, body func(t testing.TB)) string {
	t.Helper()
	n := &noted{TB: t}
	func() {
		defer func() {
			if v := recover(); v != nil && v != (fatal{}) {
				panic(v)
			}
		}()
		body(n)
	}()
	return strings.Join(n.failures, "; ")
}

// panics is what fn panics with, or "".
func panics(fn func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	fn()
	return ""
}

// echo writes back what it gets.
type echo struct{ reactor.Base }

func (e *echo) DataReceived(p []byte) { e.T.Write(p) }

// source is a producer that counts what it is told.
type source struct{ paused, resumed, stopped int }

func (s *source) PauseProducing()  { s.paused++ }
func (s *source) ResumeProducing() { s.resumed++ }
func (s *source) StopProducing()   { s.stopped++ }
