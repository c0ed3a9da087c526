package tlsio_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/fips140"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/tlsio"
)

// talk connects with two configurations, sends a word, and returns both ends when they
// are lost.
func (s *stage) talk(sc, cc *tls.Config) (srv, cli *end) {
	s.t.Helper()
	srv, cli = new(end), new(end)
	cli.onShaken = func() { cli.c.Write([]byte("word")); cli.c.Close() }
	s.connect(tlsio.Server(sc, one(srv), nil), tlsio.Client(cc, one(cli), nil))
	s.until(func() bool { return srv.lost() && cli.lost() })
	if string(srv.got) != "word" {
		s.t.Errorf("%q arrived; %v; %v", srv.got, srv.err, cli.err)
	}
	return srv, cli
}

// echConfig is a configuration for Encrypted Client Hello of the server public, with
// the key for it (RFC 9849, 4).
func echConfig(t *testing.T, public string) (config []byte, key *ecdh.PrivateKey) {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const x25519, hkdfSHA256, aes128GCM = 0x20, 1, 1
	pub := key.PublicKey().Bytes()
	body := []byte{7} // its number
	body = binary.BigEndian.AppendUint16(body, x25519)
	body = binary.BigEndian.AppendUint16(body, uint16(len(pub)))
	body = append(body, pub...)
	body = append(body, 0, 4, 0, hkdfSHA256, 0, aes128GCM)
	body = append(body, 32, byte(len(public))) // names are padded to 32 bytes
	body = append(body, public...)
	body = append(body, 0, 0) // no extensions
	config = binary.BigEndian.AppendUint16([]byte{0xfe, 0x0d}, uint16(len(body)))
	return append(config, body...), key
}

// Encrypted Client Hello is crypto/tls's own, and both ends learn that it was used.
func TestECH(t *testing.T) {
	stages(t, []int{1, 0}, func(s *stage) {
		sc, cc := configs(tls.VersionTLS13)
		config, key := echConfig(s.t, "public.test")
		sc.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{{Config: config, PrivateKey: key.Bytes()}}
		cc.EncryptedClientHelloConfigList = append(binary.BigEndian.AppendUint16(nil, uint16(len(config))), config...)
		srv, cli := s.talk(sc, cc)
		if !srv.state.ECHAccepted || !cli.state.ECHAccepted || srv.state.ServerName != "srv.test" {
			s.t.Errorf("accepted by server %v and client %v, for %q", srv.state.ECHAccepted, cli.state.ECHAccepted, srv.state.ServerName)
		}
	})
}

// The secrets of a connection can be logged, for who looks at its packets.
func TestKeyLog(t *testing.T) {
	stages(t, []int{0}, func(s *stage) {
		sc, cc := configs(tls.VersionTLS13)
		var ours, theirs bytes.Buffer
		sc.KeyLogWriter, cc.KeyLogWriter = &ours, &theirs
		s.talk(sc, cc)
		if n := strings.Count(ours.String(), "\n"); n != 4 || !strings.Contains(ours.String(), "SERVER_TRAFFIC_SECRET_0 ") {
			s.t.Errorf("logged %q", ours.String())
		}
		if lines := strings.Split(theirs.String(), "\n"); len(lines) != 5 || !strings.Contains(ours.String(), lines[0]) {
			s.t.Errorf("logged %q and %q", ours.String(), theirs.String())
		}
	})
}

// In FIPS mode, which is the process's, there are only approved algorithms.
func TestFIPS(t *testing.T) {
	if !fips140.Enabled() {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFIPS$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=on")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFIPS") {
			t.Errorf("in FIPS mode: %v\n%s", err, out)
		}
		return
	}
	stages(t, []int{0}, func(s *stage) {
		sc, cc := configs(tls.VersionTLS13)
		cc.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256}
		_, cli := s.talk(sc, cc)
		if cli.state.CurveID != tls.CurveP256 {
			s.t.Errorf("agreed on %v in FIPS mode", cli.state.CurveID)
		}
	})
}
