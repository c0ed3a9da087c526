package tlsio_test

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/tlsio"
)

// A client that does not trust the server says so by an alert, which OpenSSL sends without protection, though the server's hello
// has begun it. crypto/tls calls that a bad record. The server is told what the client has said, and so is who reads its explanation.
func TestAlertInClear(t *testing.T) {
	for what, c := range map[string]struct {
		record []byte
		alert  tls.AlertError
		words  string
	}{
		"an alert":                 {[]byte{alertRecord, 3, 3, 0, 2, 2, 48}, 48, "does not know the authority"},
		"a close_notify":           {[]byte{alertRecord, 3, 3, 0, 2, 1, 0}, 20, ""},
		"a record of another kind": {[]byte{dataRecord, 3, 3, 0, 2, 2, 48}, 20, ""},
		"an alert that is sealed":  {[]byte{dataRecord, 3, 3, 0, 19, 2, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 20, ""},
	} {
		t.Run(what, func(t *testing.T) {
			for cut := range len(c.record) + 1 {
				top := new(end)
				g := newRig(t, tls.VersionTLS13, top, nil)
				g.change = func(i int, record []byte) []byte {
					switch i {
					case 0:
						return record // the hello
					case 1:
						g.cut = g.sent + cut
						return c.record
					}
					return nil
				}
				g.pump()
				top.is(t, "server", tlsio.ErrHandshake)
				if !alerted(c.alert)(top.err) {
					t.Errorf("cut at %d: lost for %v, want alert %d", cut, top.err, c.alert)
				}
				if err := tlsio.Explain(top.err, ""); errors.Is(err, tlsio.ErrPeerRefused) != (c.words != "") || !strings.Contains(err.Error(), c.words) {
					t.Errorf("cut at %d: %v", cut, err)
				}
				if op, ok := errors.AsType[*net.OpError](top.err); !ok || (op.Op == "remote error") != (c.words != "") {
					t.Errorf("cut at %d: %v", cut, top.err)
				}
				g.lose()
			}
		})
	}
}
