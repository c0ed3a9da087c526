package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// maxFile is the most bytes that are read of one file. The largest bundles of
// roots have a quarter as many.
const maxFile = 4 << 20

// readFile reads all of a regular file. It refuses pipes and terminals, because opening or
// reading them may never end. It looks twice, because between the look and the open another
// file may have got the name: opening a device may do something.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err := checkRegular(path, info, err); err != nil {
		return nil, err
	}
	return readOpened(path)
}

// readOpened is readFile without the first look.
func readOpened(path string) ([]byte, error) {
	f, err := openNow(path)
	if err != nil {
		return nil, &Error{Path: path, Err: err, Remedy: remedyFor(err)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err := checkRegular(path, info, err); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, &Error{Path: path, Err: err}
	case len(data) > maxFile:
		return nil, &Error{Path: path, Err: ErrFile, Detail: fmt.Sprintf("it has more than %d bytes", maxFile), Remedy: "name the certificate's file"}
	}
	return data, nil
}

// checkRegular fails if a look at a file has failed, or found something that is not one.
func checkRegular(path string, info fs.FileInfo, err error) error {
	switch {
	case err != nil:
		return &Error{Path: path, Err: err, Remedy: remedyFor(err)}
	case info.IsDir():
		return &Error{Path: path, Err: ErrFile, Detail: "it is a directory", Remedy: "name a file in it, or give it as a directory"}
	case !info.Mode().IsRegular():
		return &Error{Path: path, Err: ErrFile, Detail: "it is a " + kindOf(info.Mode()), Remedy: "name a regular file"}
	}
	return nil
}

// kindOf says what a file is that is not regular.
func kindOf(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0: // also what <(...) is in a shell
		return "pipe"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file"
}

func remedyFor(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "let the user of this process read it"
	case errors.Is(err, fs.ErrNotExist):
		return "check the path, which is relative to the working directory unless it begins at the root"
	}
	return ""
}

// pemBlock is a PEM block and where it was found.
type pemBlock struct {
	*pem.Block
	path string
	n    int // from 1
}

// fail makes an error about b.
func (b *pemBlock) fail(err error, detail, remedy string) error {
	return &Error{Path: b.path, Block: b.n, Err: err, Detail: detail, Remedy: remedy}
}

const pemBegin = "-----BEGIN "

// blocks parses all of a file. A damaged block is an error, while pem.Decode skips it:
// a file that is being written ends in such a block.
func blocks(path string, data []byte) (found []*pemBlock, err error) {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, &Error{Path: path, Err: ErrEmpty, Remedy: "write the certificates or the key into it"}
	}
	at := nextBegin(data, 0)
	if at < 0 {
		return nil, notPEM(path, data)
	}
	for at >= 0 {
		next := nextBegin(data, at+len(pemBegin))
		part := data[at:]
		if next >= 0 {
			part = data[at:next]
		}
		b := &pemBlock{path: path, n: len(found) + 1}
		if b.Block, _ = pem.Decode(part); b.Block == nil {
			return nil, b.fail(ErrNotPEM, "the block is cut short or damaged", "write the file again, whole")
		}
		found = append(found, b)
		at = next
	}
	return found, nil
}

// nextBegin returns the offset of the first block that begins at from or later, or -1.
// A block begins at the start of a line.
func nextBegin(data []byte, from int) int {
	for {
		i := bytes.Index(data[from:], []byte(pemBegin))
		if i < 0 {
			return -1
		}
		if from += i; from == 0 || data[from-1] == '\n' || data[from-1] == '\r' {
			return from
		}
		from += len(pemBegin)
	}
}

func notPEM(path string, data []byte) error {
	e := &Error{Path: path, Err: ErrNotPEM, Detail: "there is no line with BEGIN", Remedy: "name a PEM file"}
	if data[0] != 0x30 { // neither a certificate nor a key in DER
		return e
	}
	e.Detail, e.Remedy = "it looks like DER or PKCS #12", "convert it to PEM with openssl"
	if _, err := x509.ParseCertificate(data); err == nil {
		e.Detail, e.Remedy = "it is a certificate in DER", "convert it with: openssl x509 -inform der -in FILE -out FILE.pem"
	} else if _, err := parseKey(data, ""); err == nil {
		e.Detail, e.Remedy = "it is a private key in DER", "convert it with: openssl pkey -inform der -in FILE -out FILE.pem"
	}
	return e
}

// sortBlocks returns the certificates and the private keys of a file. They are parsed
// later, when they are needed.
func sortBlocks(path string, data []byte) (certs, keys []*pemBlock, err error) {
	all, err := blocks(path, data)
	if err != nil {
		return nil, nil, err
	}
	for _, b := range all {
		switch {
		case b.Type == "CERTIFICATE":
			certs = append(certs, b)
		case strings.HasSuffix(b.Type, "PRIVATE KEY"):
			keys = append(keys, b)
		case strings.HasSuffix(b.Type, " PARAMETERS"): // openssl writes them before keys, which repeat them
		default:
			return nil, nil, b.fail(ErrBlockType, strconv.Quote(b.Type), remedyForType(b.Type))
		}
	}
	return certs, keys, nil
}

func remedyForType(t string) string {
	switch t {
	case "TRUSTED CERTIFICATE":
		return "convert it with: openssl x509 -in FILE -out FILE.pem"
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		return "have the authority sign the request, and use what it returns"
	case "PUBLIC KEY", "RSA PUBLIC KEY":
		return "the private key is needed"
	case "PKCS7":
		return "convert it with: openssl pkcs7 -print_certs -in FILE -out FILE.pem"
	}
	return "remove the block"
}

// parseCert parses a block that is a certificate.
func (b *pemBlock) parseCert() (*x509.Certificate, error) {
	c, err := x509.ParseCertificate(b.Bytes)
	if err != nil {
		return nil, b.fail(ErrMalformed, err.Error(), "have the certificate issued or exported again")
	}
	return c, nil
}

// parseKey parses a block that is a private key.
func (b *pemBlock) parseKey() (crypto.Signer, error) {
	if b.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(b.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, b.fail(ErrEncryptedKey, "", "decrypt it with: openssl pkey -in FILE -out FILE.key, and let only this process's user read it")
	}
	if b.Type == "OPENSSH PRIVATE KEY" {
		return nil, b.fail(ErrBlockType, strconv.Quote(b.Type), "convert it with: ssh-keygen -p -m PEM -f FILE")
	}
	key, err := parseKey(b.Bytes, b.Type)
	if err != nil {
		return nil, b.fail(ErrMalformed, err.Error(), "use a key of RSA, ECDSA (P-256, P-384 or P-521) or Ed25519; if it is one, export it again, as PKCS #8")
	}
	return key, nil
}

// parseKey parses PKCS #8, PKCS #1 or SEC 1. kind is the type of the block, which tells whose error counts.
func parseKey(der []byte, kind string) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		rsa, rsaErr := x509.ParsePKCS1PrivateKey(der)
		if rsaErr == nil {
			return rsa, nil
		}
		ec, ecErr := x509.ParseECPrivateKey(der)
		if ecErr == nil {
			return ec, nil
		}
		switch kind {
		case "RSA PRIVATE KEY":
			err = rsaErr
		case "EC PRIVATE KEY":
			err = ecErr
		}
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}
