package interop

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os/exec"
	"testing"
	"time"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/testworld"
)

// NETCONN-21: curl sends a megabyte to net/http and gets it back at the same time, over HTTP/1.1 and HTTP/2, with TLS, whose certificate it verifies, and without.
func TestCurl(t *testing.T) {
	program, err := exec.LookPath("curl")
	if err != nil {
		t.Skip(err)
	}
	ca := tlstest.NewAuthorityAt("root", time.Now())
	leaf := ca.Leaf(host)
	cfg, err := certs.ServerConfig(&certs.ServerOptions{Certificates: []certs.Source{{Certificate: &leaf}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name         string
		serve        serving
		scheme, want string // want is the version of HTTP
		option       string
	}{
		{"HTTP 1", plain, "http", "1.1", "--http1.1"},
		{"HTTP 1, TLS below", tlsBelow, "https", "1.1", "--http2"},
		{"HTTP 1, TLS below an IdleListener", idlingTLS, "https", "1.1", "--http2"},
		{"HTTP 2 in clear", unencrypted, "http", "2", "--http2-prior-knowledge"},
		{"HTTP 2, TLS above", tlsAbove, "https", "2", "--http2"},
	} {
		t.Run(x.name, func(t *testing.T) {
			each(t, testworld.Native(), func(t *testing.T, s *site) {
				h := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
					_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 has it anyway
					_, _ = io.Copy(w, q.Body)
				})
				_, port, _ := net.SplitHostPort(x.serve(s, &http.Server{Handler: h}, cfg).Addr().String())
				body := pattern(1 << 20)
				cmd := exec.CommandContext(limited(t), program, "-sS", "--noproxy", "*", "--cacert", tlstest.WriteFile(t, t.TempDir(), "ca", ca.PEM()),
					"--resolve", host+":"+port+":127.0.0.1", x.option, "--data-binary", "@-", "-w", "%{http_version}", x.scheme+"://"+host+":"+port)
				cmd.Stdin = bytes.NewReader(body)
				out, err := cmd.CombinedOutput()
				if !bytes.Equal(out, append(body, x.want...)) || err != nil {
					t.Errorf("%d bytes of %d came back, and %v: %.100q", len(out), len(body), err, out[max(0, len(out)-100):])
				}
			})
		})
	}
}
