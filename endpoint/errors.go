package endpoint

import (
	"fmt"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// Errors to be asked for with errors.Is.
var (
	// ErrSyntax: the description cannot be split into fields.
	ErrSyntax = kernel.Sentinel("malformed endpoint description")
	// ErrUnknownScheme: no such type (GRAM-6).
	ErrUnknownScheme = kernel.Sentinel("unknown endpoint type")
	// ErrArgument: an argument is missing, surplus, unknown or wrong (GRAM-7).
	ErrArgument = kernel.Sentinel("bad endpoint argument")
)

// UnknownSchemeError says that a description's type is not in the registry
// (GRAM-6). errors.Is finds [ErrUnknownScheme].
type UnknownSchemeError struct {
	// Scheme is the type as it was written.
	Scheme string
	// Client tells which registry was searched.
	Client bool
	// Known are the types in it, sorted.
	Known []string
}

// Error names the type, one that it may have been meant to be, and all known.
func (e *UnknownSchemeError) Error() string {
	to := "listening"
	if e.Client {
		to = "connecting"
	}
	return fmt.Sprintf("unknown endpoint type %q%s; known for %s: %s",
		e.Scheme, didYouMean(e.Scheme, e.Known), to, strings.Join(e.Known, ", "))
}

// Unwrap is [ErrUnknownScheme].
func (e *UnknownSchemeError) Unwrap() error { return ErrUnknownScheme }

// ArgumentError says what is wrong with one argument (GRAM-7, GRAM-8).
// errors.Is finds [ErrArgument] and Err.
type ArgumentError struct {
	// Scheme is the type, by the name in the registry.
	Scheme string
	// Argument is its keyword, "" for one by position that the type does not take.
	Argument string
	// Value is its text, "" if it is missing.
	Value string
	// Err says what is wrong; its text names the value.
	Err error
}

// Error names the type, the argument and the value.
func (e *ArgumentError) Error() string {
	where := e.Scheme
	if e.Argument != "" {
		where += ": " + e.Argument
	}
	return fmt.Sprintf("endpoint %s: %v", where, e.Err)
}

// Unwrap is [ErrArgument] and the reason.
func (e *ArgumentError) Unwrap() []error { return []error{ErrArgument, e.Err} }

// didYouMean returns "; did you mean ...?" if one of known is close to word, else "".
func didYouMean(word string, known []string) string {
	best, least := "", 3 // from three mistakes on it is another word
	for _, k := range known {
		n := distance(strings.ToLower(word), strings.ToLower(k))
		if n < least && 2*n < len(k) {
			best, least = k, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance counts the bytes that must be changed, added, dropped or swapped with their
// neighbour to make b of a. If the lengths differ by more than 2 it returns a large
// number.
func distance(a, b string) int {
	const far = 99
	if len(a) > len(b)+2 || len(b) > len(a)+2 {
		return far
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			same := 1
			if a[i] == b[j] {
				same = 0
			}
			row[j+1] = min(last[j]+same, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
