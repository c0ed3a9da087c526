package tlsio

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// shrinker knows where a tls.Conn has the buffers that only grow: what was read of
// the next record, handshake messages, and plaintext, which points into the first.
type shrinker struct {
	raw, hand, input uintptr
}

// newShrinker looks the fields up by name and type; nil if they are not there, or
// not what they were when this was written.
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
