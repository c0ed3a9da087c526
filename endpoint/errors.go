package endpoint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

// Errors to be asked for with errors.Is.
var (
	// ErrSyntax: the description cannot be split into fields.
	ErrSyntax = kernel.Sentinel("malformed endpoint description")
	// ErrUnknownScheme: no such type (GRAM-6).
	ErrUnknownScheme = kernel.Sentinel("unknown endpoint type")
	// ErrKind: the type is one of datagrams where connections are asked for, or the reverse (EP-25).
	ErrKind = kernel.Sentinel("wrong kind of endpoint")
	// ErrArgument: an argument is missing, surplus, unknown or wrong (GRAM-7).
	ErrArgument = kernel.Sentinel("bad endpoint argument")
)

// UnknownSchemeError says that a description's type is not in the registry
// (GRAM-6). errors.Is finds [ErrUnknownScheme].
type UnknownSchemeError struct {
	// Scheme is the type as it was written.
	Scheme string
	// Client and Datagrams tell which registry was searched.
	Client, Datagrams bool
	// Known are the types in it, sorted.
	Known []string
	// Others are the types of the other kind, sorted: those of datagrams, or, if Datagrams is set, of connections.
	Others []string
}

// Error names the type, one that it may have been meant to be, and all known.
func (e *UnknownSchemeError) Error() string {
	text := fmt.Sprintf("unknown endpoint type %q%s; known for %s: %s",
		e.Scheme, didYouMean(e.Scheme, append(slices.Clone(e.Known), e.Others...)), purpose(e.Client, e.Datagrams), strings.Join(e.Known, ", "))
	if len(e.Others) > 0 {
		text += fmt.Sprintf("; for %s: %s", purpose(e.Client, !e.Datagrams), strings.Join(e.Others, ", "))
	}
	return text
}

// Unwrap is [ErrUnknownScheme].
func (e *UnknownSchemeError) Unwrap() error { return ErrUnknownScheme }

// purpose says what the types of a registry are for.
func purpose(client, datagrams bool) string {
	switch {
	case client && datagrams:
		return "sending datagrams"
	case datagrams:
		return "receiving datagrams"
	case client:
		return "connecting"
	}
	return "listening"
}

// KindError says that a description's type takes datagrams where connections are asked for, or the
// reverse. errors.Is finds [ErrKind].
type KindError struct {
	// Scheme is the type as it was written.
	Scheme string
	// Client and Datagrams tell what was asked for.
	Client, Datagrams bool
	// Known are the types of the kind that was asked for, sorted.
	Known []string
}

// Error says what the type takes, and which types take the other.
func (e *KindError) Error() string {
	takes, not := "datagrams", "connections"
	if e.Datagrams {
		takes, not = not, takes
	}
	return fmt.Sprintf("%s takes %s, not %s; for %s there are: %s", e.Scheme, takes, not, not, strings.Join(e.Known, ", "))
}

// Unwrap is [ErrKind].
func (e *KindError) Unwrap() error { return ErrKind }

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
