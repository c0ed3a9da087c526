package simmain

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"
)

// printer writes to standard output, and keeps the first error.
type printer struct {
	w   *bufio.Writer
	err error
}

func newPrinter(w io.Writer) *printer { return &printer{w: bufio.NewWriter(w)} }

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// object prints one line of JSON.
func (p *printer) object(v any) {
	if p.err == nil {
		p.err = json.NewEncoder(p.w).Encode(v)
	}
}

// flush writes what is left, and returns why something could not be written: ErrFailed if
// nobody reads it.
func (p *printer) flush() error {
	if p.err == nil {
		p.err = p.w.Flush()
	}
	switch {
	case p.err == nil:
		return nil
	case errors.Is(p.err, syscall.EPIPE):
		return ErrFailed
	}
	return fmt.Errorf("standard output: %w", bare(p.err))
}
