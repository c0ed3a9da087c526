package tlsio_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// forger seals records in the peer's place, by AES-128-GCM.
type forger struct {
	version uint16
	secret  []byte // of TLS 1.3
	aead    cipher.AEAD
	iv      []byte
	seq     uint64
}

// forger knows the peer's keys of a connection on which the peer has sent nothing but
// its handshake.
func (g *rig) forger() *forger {
	g.t.Helper()
	state := g.p.tls.ConnectionState()
	f := &forger{version: state.Version}
	label := "CLIENT_TRAFFIC_SECRET_0 "
	if g.client {
		label = "SERVER_TRAFFIC_SECRET_0 "
	}
	switch state.CipherSuite {
	case tls.TLS_AES_128_GCM_SHA256:
		_, f.secret = g.key(label)
		f.rekey()
	case tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:
		random, master := g.key("CLIENT_RANDOM ")
		const header = 5 + 4 + 2 // of the record, the message, and the version in it
		keys := stretch(master, "key expansion", append(append([]byte(nil), g.hello[header:header+32]...), random...), 2*16+2*4)
		client, server := keys[:16], keys[16:32]
		if f.iv = keys[32:36]; g.client {
			client, f.iv = server, keys[36:40]
		}
		block, _ := aes.NewCipher(client)
		f.aead, _ = cipher.NewGCM(block)
		f.seq = 1 // Finished was the first
	default:
		g.t.Fatalf("cipher suite %x", state.CipherSuite)
	}
	return f
}

// key is a line of the key log.
func (g *rig) key(label string) (random, secret []byte) {
	g.t.Helper()
	_, line, _ := strings.Cut(g.keys.String(), label)
	line, _, _ = strings.Cut(line, "\n")
	first, second, _ := strings.Cut(line, " ")
	random, err := hex.DecodeString(first)
	if err != nil || len(random) != 32 {
		g.t.Fatalf("no secret in %q", g.keys.String())
	}
	if secret, err = hex.DecodeString(second); err != nil || len(secret) < 32 {
		g.t.Fatalf("no secret in %q", g.keys.String())
	}
	return random, secret
}

// stretch is the PRF of TLS 1.2.
func stretch(secret []byte, label string, seed []byte, n int) (out []byte) {
	seed = append([]byte(label), seed...)
	sum := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

func expand(secret []byte, label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(6+len(label)))
	info = append(append(info, "tls13 "+label...), 0)
	out, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		panic(err)
	}
	return out
}

func (f *forger) rekey() {
	block, _ := aes.NewCipher(expand(f.secret, "key", 16))
	f.aead, _ = cipher.NewGCM(block)
	f.iv, f.seq = expand(f.secret, "iv", 12), 0
}

// update goes on to the next secret, as KeyUpdate does.
func (f *forger) update() {
	f.secret = expand(f.secret, "traffic upd", 32)
	f.rekey()
}

// seal is one record.
func (f *forger) seal(kind byte, data []byte) []byte {
	if f.version != tls.VersionTLS13 {
		return f.seal12(kind, data)
	}
	nonce := append([]byte(nil), f.iv...)
	for i, b := range binary.BigEndian.AppendUint64(nil, f.seq) {
		nonce[4+i] ^= b
	}
	f.seq++
	inner := append(append([]byte(nil), data...), kind)
	head := binary.BigEndian.AppendUint16([]byte{23, 3, 3}, uint16(len(inner)+16))
	return append(head, f.aead.Seal(nil, nonce, inner, head)...)
}

func (f *forger) seal12(kind byte, data []byte) []byte {
	count := binary.BigEndian.AppendUint64(nil, f.seq)
	f.seq++
	head := binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(data)))
	body := f.aead.Seal(count, append(append([]byte(nil), f.iv...), count...), data, append(append([]byte(nil), count...), head...))
	return append(binary.BigEndian.AppendUint16([]byte{kind, 3, 3}, uint16(len(body))), body...)
}
