package std

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/kernel"
)

// checkOptions returns an *endpoint.ArgumentError for an option that has a value that it cannot
// have.
func checkOptions(scheme string, o *kernel.StreamOptions) error {
	err := kernel.CheckOptions(kernel.OpOption, o)
	e, ok := errors.AsType[*kernel.OptionError](err)
	if !ok {
		return err
	}
	value, reason := fmt.Sprint(e.Value), e.Err
	if e.Needs != "" {
		reason = fmt.Errorf("%w: it needs %s=yes", kernel.ErrInvalidOption, argumentOf(e.Needs))
	}
	return &endpoint.ArgumentError{Scheme: scheme, Argument: argumentOf(e.Option), Value: value, Err: fmt.Errorf("%s: %w", value, reason)}
}

// argumentOf is the name in descriptions of a field of kernel.StreamOptions.
func argumentOf(option string) string {
	f, _ := reflect.TypeFor[kernel.StreamOptions]().FieldByName(option)
	return strings.TrimPrefix(f.Tag.Get("ep"), "!")
}
