package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
)

// forger seals records of TLS 1.3 in a client's place, because crypto/tls sends no KeyUpdate
// on request.
type forger struct {
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// Of TLS 1.3: the kinds of records.
const (
	recordHandshake = 22
	recordData      = 23
)

var errOtherSuite = errors.New("the cipher suite is not TLS_AES_128_GCM_SHA256")

// newForger takes the keys of a connection on which the client has sent its handshake alone.
func newForger(state tls.ConnectionState, keys *bytes.Buffer) (*forger, error) {
	if state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		return nil, errOtherSuite
	}
	_, line, _ := strings.Cut(keys.String(), "CLIENT_TRAFFIC_SECRET_0 ")
	line, _, _ = strings.Cut(line, "\n")
	_, secret, _ := strings.Cut(line, " ")
	f := new(forger)
	var err error
	if f.secret, err = hex.DecodeString(secret); err != nil {
		return nil, err
	}
	return f, f.rekey()
}

func (f *forger) expand(label string, n int) ([]byte, error) {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(6+len(label)))
	info = append(append(info, "tls13 "+label...), 0)
	return hkdf.Expand(sha256.New, f.secret, string(info), n)
}

func (f *forger) rekey() error {
	key, err := f.expand("key", 16)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	if f.aead, err = cipher.NewGCM(block); err != nil {
		return err
	}
	f.iv, err = f.expand("iv", 12)
	f.seq = 0
	return err
}

// keyUpdate returns a KeyUpdate, and goes on to the next key. If requested, the server is to
// change its key too.
func (f *forger) keyUpdate(requested byte) ([]byte, error) {
	record := f.seal(recordHandshake, []byte{24, 0, 0, 1, requested})
	var err error
	if f.secret, err = f.expand("traffic upd", 32); err != nil {
		return nil, err
	}
	return record, f.rekey()
}

// seal returns one record.
func (f *forger) seal(kind byte, data []byte) []byte {
	nonce := bytes.Clone(f.iv)
	for i, b := range binary.BigEndian.AppendUint64(nil, f.seq) {
		nonce[4+i] ^= b
	}
	f.seq++
	inner := append(bytes.Clone(data), kind)
	head := binary.BigEndian.AppendUint16([]byte{recordData, 3, 3}, uint16(len(inner)+16))
	return append(head, f.aead.Seal(nil, nonce, inner, head)...)
}
