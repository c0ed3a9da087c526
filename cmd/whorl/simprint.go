package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
	"unicode"
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

// flush writes what is left, and returns why something could not be written; errQuiet if
// nobody reads it.
func (p *printer) flush() error {
	if p.err == nil {
		p.err = p.w.Flush()
	}
	switch {
	case p.err == nil:
		return nil
	case errors.Is(p.err, syscall.EPIPE):
		return errQuiet
	}
	return fmt.Errorf("standard output: %w", bare(p.err))
}

// printable is s without what would move a terminal's cursor or end the line.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(fmt.Sprintf("%q", r), "'"))
		}
	}
	return b.String()
}

// firstLine is the first line of s, without what does not print.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return printable(line)
}

// at is a moment of a run: seconds, to the microsecond.
func at(d time.Duration) string { return fmt.Sprintf("%.6fs", d.Seconds()) }

// counted is "1 seed", "2 seeds".
func counted(n uint64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
