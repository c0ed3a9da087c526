package tlsio

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// shrinker has the offsets of the buffers in a tls.Conn that only grow: what was read of
// the next record, handshake messages, and plaintext, which points into the first.
type shrinker struct {
	raw, hand, input uintptr
}

// newShrinker looks the fields up by name and type. It returns nil if one is missing or
// has another type than in the Go release for which this was written.
func newShrinker() *shrinker {
	t := reflect.TypeFor[tls.Conn]()
	raw, ok1 := t.FieldByName("rawInput")
	hand, ok2 := t.FieldByName("hand")
	input, ok3 := t.FieldByName("input")
	buffer := reflect.TypeFor[bytes.Buffer]()
	if !ok1 || !ok2 || !ok3 || raw.Type != buffer || hand.Type != buffer || input.Type != reflect.TypeFor[bytes.Reader]() {
		return nil
	}
	return &shrinker{raw.Offset, hand.Offset, input.Offset}
}

// shrink gives back those that are empty. c must not be in use.
func (s *shrinker) shrink(c *tls.Conn) {
	p := unsafe.Pointer(c)
	raw := (*bytes.Buffer)(unsafe.Add(p, s.raw))
	hand := (*bytes.Buffer)(unsafe.Add(p, s.hand))
	input := (*bytes.Reader)(unsafe.Add(p, s.input))
	if raw.Len() == 0 && input.Len() == 0 {
		*raw, *input = bytes.Buffer{}, bytes.Reader{}
	}
	if hand.Len() == 0 {
		*hand = bytes.Buffer{}
	}
}
