package tlsio_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/tlsio"
)

// A client chooses the text of some errors of crypto/tls, such as that which lists the protocols that it has offered. What a server
// logs of them is short, however long the list is, and the error of crypto/tls is found behind it.
func TestErrorIsShort(t *testing.T) {
	for _, v := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ours, theirs := configs(v)
		ours, theirs = ours.Clone(), theirs.Clone()
		ours.NextProtos, theirs.NextProtos = []string{"h2"}, nil
		for range 200 {
			theirs.NextProtos = append(theirs.NextProtos, strings.Repeat("\x01", 255))
		}
		top := new(end)
		g := rigOf(t, ours, theirs, top, nil, false)
		g.pump()
		top.is(t, "it", tlsio.ErrHandshake)
		e, ok := errors.AsType[*tlsio.Error](top.err)
		if !ok || !strings.Contains(e.Error(), "unsupported application protocols") {
			t.Fatalf("lost for %.200v", top.err)
		}
		for _, err := range []error{e, e.Err, tlsio.Explain(e.Err, "")} {
			if n := len(err.Error()); n > 2000 {
				t.Errorf("the text has %d bytes", n)
			}
		}
	}
}
