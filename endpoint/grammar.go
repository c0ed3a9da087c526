package endpoint

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Description is a parsed description. The zero Description is the empty string.
type Description struct {
	// Scheme is the first field, the type, as it was written.
	Scheme string
	// Args are the other fields, in the order they were written.
	Args []Argument
}

// Argument is one field of a description, its escapes resolved.
type Argument struct {
	// Name is the keyword, or "" for an argument by position.
	Name string
	// Value is the text. One that was written in brackets still has them.
	Value string
}

// Parse splits a description into fields (GRAM-1, GRAM-2, GRAM-3). It looks neither at
// the type nor at the meaning of the arguments. An empty field is an empty argument by
// position. A keyword may be repeated. The error is a [*SyntaxError] about
//
//   - a '\' or '[' that the end cuts short,
//   - something other than ':' after a value in brackets,
//   - a '=' without a keyword, or in the first field.
func Parse(description string) (Description, error) {
	p := parser{in: description}
	first, more, err := p.field()
	d := Description{Scheme: first.Value}
	for more && err == nil {
		var a Argument
		a, more, err = p.field()
		d.Args = append(d.Args, a)
	}
	if err != nil {
		return Description{}, err
	}
	return d, nil
}

type parser struct {
	in   string
	at   int // offset of the next byte
	rest bool
}

// field reads up to the next ':' or the end, and tells whether it was a ':'.
// It may go by bytes: every character that means something is one byte.
func (p *parser) field() (a Argument, more bool, err error) {
	var text []byte
	begins, opened, closed := true, -1, false
	for ; p.at < len(p.in); p.at++ {
		c := p.in[p.at]
		switch {
		case closed && c != ':':
			return a, false, p.fail("':' or the end after ']'")
		case c == '\\':
			if p.at++; p.at == len(p.in) {
				return a, false, p.fail(`a character after '\'`)
			}
			text = append(text, p.in[p.at])
		case opened >= 0 && !closed:
			text = append(text, c)
			closed = c == ']'
		case c == ':':
			p.at++
			p.rest = true
			a.Value = string(text)
			return a, true, nil
		case c == '=' && !p.rest:
			return a, false, p.fail("a type before any argument")
		case c == '=' && a.Name == "":
			if len(text) == 0 {
				return a, false, p.fail(`a keyword before '=', or '\='`)
			}
			a.Name, text = string(text), text[:0]
			begins = true
			continue
		case c == '[' && begins:
			opened = p.at
			text = append(text, c)
		default:
			text = append(text, c)
		}
		begins = false
	}
	if opened >= 0 && !closed {
		return a, false, p.fail(fmt.Sprintf(`']' for the '[' at offset %d, or '\[' there`, opened))
	}
	a.Value = string(text)
	return a, false, nil
}

func (p *parser) fail(want string) error {
	got := "the end"
	if p.at < len(p.in) {
		c, size := utf8.DecodeRuneInString(p.in[p.at:])
		got = strconv.QuoteRune(c)
		if c == utf8.RuneError && size == 1 {
			got = fmt.Sprintf("byte 0x%02x", p.in[p.at])
		}
	}
	return &SyntaxError{Input: p.in, Offset: p.at, Got: got, Want: want}
}

// String is the description. Parse(d.String()) is d again.
func (d Description) String() string {
	b := []byte(Quote(d.Scheme))
	for _, a := range d.Args {
		b = append(b, ':')
		if a.Name != "" {
			b = append(b, Quote(a.Name)...)
			b = append(b, '=')
		}
		if bracketed(a.Value) {
			b = append(b, a.Value...)
		} else {
			b = append(b, Quote(a.Value)...)
		}
	}
	return string(b)
}

// bracketed tells whether v is in brackets, so that it needs no escapes.
func bracketed(v string) bool {
	return len(v) >= 2 && v[0] == '[' && strings.IndexAny(v, `]\`) == len(v)-1
}

// Quote escapes '\', ':', '=' and '[' in text. The result can stand in a description
// as a type, a keyword or a value, or as a part of one, and Parse gives text back
// (GRAM-4).
func Quote(text string) string {
	if !strings.ContainsAny(text, `\:=[`) {
		return text
	}
	b := make([]byte, 0, len(text)+8)
	for i := range len(text) {
		if strings.IndexByte(`\:=[`, text[i]) >= 0 {
			b = append(b, '\\')
		}
		b = append(b, text[i])
	}
	return string(b)
}

// SyntaxError is what Parse returns: errors.Is finds [ErrSyntax].
type SyntaxError struct {
	// Input is the whole description.
	Input string
	// Offset is where it went wrong, in bytes from 0; len(Input) is the end.
	Offset int
	// Got is the character there, quoted, or "the end".
	Got string
	// Want says what should have come instead.
	Want string
}

// Error is one line.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("endpoint description %q: got %s at offset %d, want %s", e.Input, e.Got, e.Offset, e.Want)
}

// Unwrap is [ErrSyntax].
func (e *SyntaxError) Unwrap() error { return ErrSyntax }

// Caret returns two lines for a terminal: the description, and a '^' under the wrong
// character. Characters that cannot be printed are shown as '?'. Each character is
// taken to be one column wide.
func (e *SyntaxError) Caret() string {
	line := strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, e.Input)
	at := utf8.RuneCountInString(e.Input[:e.Offset])
	return line + "\n" + strings.Repeat(" ", at) + "^"
}
