package whorl

import (
	"errors"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
)

// Errors to be asked for with errors.Is.
var (
	// ErrConfig: the Config, or another argument, cannot be right. It comes as a
	// [*ConfigError].
	ErrConfig = kernel.Sentinel("bad configuration")
)

// ConfigError says which argument cannot be right, and what would be. errors.Is finds
// [ErrConfig].
type ConfigError struct {
	// Field is the field of [Config], or the argument.
	Field string
	// Why says what is wrong and what to do.
	Why string
}

// Error is one line, such as "whorl: Loops must be 0 or 1 ...".
func (e *ConfigError) Error() string { return "whorl: " + e.Field + " " + e.Why }

// Unwrap is [ErrConfig].
func (e *ConfigError) Unwrap() error { return ErrConfig }

// PlaceError says which place a failure is about.
type PlaceError struct {
	// Place is the description, as it was given.
	Place string
	// Err is what failed.
	Err error
}

// Error is the place and what failed. A malformed description is not said twice.
func (e *PlaceError) Error() string {
	if errors.Is(e.Err, endpoint.ErrSyntax) {
		return e.Err.Error()
	}
	return e.Place + ": " + e.Err.Error()
}

// Unwrap is what failed.
func (e *PlaceError) Unwrap() error { return e.Err }
