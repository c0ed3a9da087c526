package tlsio_test

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// A connection of TLS passes no descriptors, whatever is below it: As finds its own refusal, and not the stream's method.
func TestNoDescriptors(t *testing.T) {
	s, ok := reactor.As[reactor.DescriptorSender](reactor.Transport(new(tlsio.Conn)))
	if !ok {
		t.Fatal("no DescriptorSender is found")
	}
	if err := s.SendDescriptor(0); err != kernel.ErrUnsupported {
		t.Errorf("sending a descriptor over TLS: %v", err)
	}
}

// TLS ends a direction alone, also above a transport that cannot, such as a WebSocket: what is found by As is its own answer.
func TestHalfCloses(t *testing.T) {
	h, ok := reactor.As[interface{ HalfCloses() bool }](reactor.Transport(new(tlsio.Conn)))
	if !ok || !h.HalfCloses() {
		t.Error("TLS says that it cannot end a direction alone")
	}
}
