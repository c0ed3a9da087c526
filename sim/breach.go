package sim

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/whorl-go/whorl/reactor"
)

// Breach is the error of a check that found a rule of the world broken. rule is its name, a
// word or a few, the same in every run. format and args tell what was found, as in fmt.Errorf.
// Two failures are the same to [World.Minimise] only if the same rule is broken, so give each
// rule a name of its own.
func Breach(rule, format string, args ...any) error {
	return &BreachError{Rule: rule, Err: fmt.Errorf(format, args...)}
}

// BreachError tells that a rule of a world is broken.
type BreachError struct {
	// Rule is the rule's name.
	Rule string
	// Err is what was found.
	Err error
}

// Error is the name and what was found.
func (e *BreachError) Error() string { return e.Rule + ": " + e.Err.Error() }

// Unwrap is Err.
func (e *BreachError) Unwrap() error { return e.Err }

// ruleOf is the name of the rule that err says is broken. An error without a name gets one
// of its text: the first line, without quoted texts and numbers, because those differ
// from run to run.
func ruleOf(err error) string {
	if e, ok := errors.AsType[*BreachError](err); ok {
		return e.Rule
	}
	if e, ok := errors.AsType[*InvariantError](err); ok {
		return e.Rule
	}
	if e, ok := errors.AsType[*WaitError](err); ok {
		return e.Unmet[0]
	}
	if e, ok := errors.AsType[*reactor.PanicError](err); ok {
		return "panic in " + e.In + ": " + shape(fmt.Sprint(e.Value))
	}
	for _, kind := range []error{ErrLivelock, ErrDiverged} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return shape(err.Error())
}

// varying matches quoted texts, times, numbers of memory, and other numbers.
var varying = regexp.MustCompile(`"(\\.|[^"\\])*"|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+\b|0x[0-9a-f]+|[0-9]+([.:][0-9]+)*`)

// shape is the first line of text with "#" for all that varies.
func shape(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return varying.ReplaceAllString(line, "#")
}
