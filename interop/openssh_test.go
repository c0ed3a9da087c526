package interop

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net"
	"os/exec"
	"testing"

	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/crypto/ssh"
)

// NETCONN-21: the ssh of OpenSSH has a command and a forwarded connection of a server on netconn, each with a megabyte in both directions.
func TestOpenSSH(t *testing.T) {
	program, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip(err)
	}
	each(t, testworld.Native(), func(t *testing.T, s *site) {
		a, x := echo(s), serveSSH(t, s)
		_, port, _ := net.SplitHostPort(x.addr.String())
		block, err := ssh.MarshalPrivateKey(tlstest.KeyOf(user), "")
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		key := tlstest.WriteFile(t, dir, "key", pem.EncodeToMemory(block))
		known := fmt.Appendf(nil, "[127.0.0.1]:%s %s", port, ssh.MarshalAuthorizedKey(signer(t, host).PublicKey()))
		base := []string{"-F", "none", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=" + tlstest.WriteFile(t, dir, "known", known),
			"-i", key, "-p", port, user + "@127.0.0.1"}
		for what, args := range map[string][]string{
			"a command":   append(base[:len(base):len(base)], "cat"),
			"a forwarded": append([]string{"-W", a.String()}, base...),
		} {
			want := pattern(1 << 20)
			cmd := exec.CommandContext(limited(t), program, args...)
			var complaint bytes.Buffer
			cmd.Stdin, cmd.Stderr = bytes.NewReader(want), &complaint
			if got, err := cmd.Output(); !bytes.Equal(got, want) || err != nil {
				t.Errorf("%s: %d bytes of %d came back, and %v: %s", what, len(got), len(want), err, &complaint)
			}
		}
	})
}
