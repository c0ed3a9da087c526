package tlsio

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/kernel"
)

// Reasons why a handshake failed, for errors.Is of an error from [Explain]. The others
// are rules for certificates: certs.ErrName, certs.ErrExpired, certs.ErrUntrusted,
// certs.ErrUsage, certs.ErrConstraint and certs.ErrNoRoots.
var (
	// ErrPeerRefused: the peer ended the handshake with an alert.
	ErrPeerRefused = kernel.Sentinel("the peer refused")
	// ErrNotTLS: the peer sent something that is not TLS.
	ErrNotTLS = kernel.Sentinel("the peer does not speak TLS")
)

// HandshakeError is why a handshake failed, in words for the person who has to mend it.
type HandshakeError struct {
	// Rule is the rule that was violated: an error of this package or of package certs.
	Rule error
	// Cert is the certificate of the peer that violated the rule, or nil.
	Cert *x509.Certificate
	// Name is the host that was asked for; empty if it is not known.
	Name string
	// Detail says how the rule was violated; it may be empty. A peer's certificate may
	// hold names of any length, so it is at most a few hundred bytes long.
	Detail string
	// Remedy is what to do.
	Remedy string
	// Err is what crypto/tls said.
	Err error
}

// Error is one line: the rule, the certificate, the name, how, and what to do.
func (e *HandshakeError) Error() string {
	var b strings.Builder
	b.WriteString(e.Rule.Error())
	if e.Name != "" {
		fmt.Fprintf(&b, ", asked for %q", e.Name)
	}
	if e.Cert != nil {
		b.WriteString(": " + certs.Describe(e.Cert))
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Remedy != "" {
		b.WriteString("; " + e.Remedy)
	}
	return b.String()
}

// Unwrap is the rule, and the error of crypto/tls with those of crypto/x509 below.
func (e *HandshakeError) Unwrap() []error { return []error{e.Rule, e.Err} }

// Explain turns an error of a handshake into a [*HandshakeError], which says which
// certificate, which name and which rule, and what to do. host is the name that was
// asked for, or empty on a server. An error that it does not know, a [*certs.Error] and
// nil are returned as they are. It may be called from any goroutine.
func Explain(err error, host string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*HandshakeError](err); ok {
		return err
	}
	e := &HandshakeError{Name: host, Err: err}
	if e.explainChain() || e.explainInvalid() || e.explainPeer() {
		e.Detail = certs.Shorten(e.Detail)
		return e
	}
	return err
}

// explainChain explains errors about names and trust.
func (e *HandshakeError) explainChain() bool {
	if h, ok := errors.AsType[x509.HostnameError](e.Err); ok {
		e.Rule, e.Cert, e.Name = certs.ErrName, h.Certificate, h.Host
		if names := namesOf(h.Certificate); names != "" {
			e.Detail, e.Remedy = "it is for "+names, "ask for one of these, or have a certificate issued for the name"
		} else {
			e.Detail, e.Remedy = "it has no subject alternative names, and the common name does not count", "have it issued again with the name among them"
		}
		return true
	}
	if u, ok := errors.AsType[x509.UnknownAuthorityError](e.Err); ok {
		e.explainUntrusted(u)
		return true
	}
	if s, ok := errors.AsType[x509.SystemRootsError](e.Err); ok {
		e.Rule, e.Remedy = certs.ErrNoRoots, "install the system's trust roots, or name a file of them"
		e.Detail = s.Error()
		return true
	}
	return false
}

// explainUntrusted explains why no chain leads from u.Cert to a trust root.
func (e *HandshakeError) explainUntrusted(u x509.UnknownAuthorityError) {
	e.Rule, e.Cert = certs.ErrUntrusted, u.Cert
	e.Remedy = "add the authority to the trust roots"
	if u.Cert == nil {
		return
	}
	v, ok := errors.AsType[*tls.CertificateVerificationError](e.Err)
	self := bytes.Equal(u.Cert.RawIssuer, u.Cert.RawSubject)
	tried := triedIn(u)
	switch {
	case tried != "" && isOld(u.Cert.SignatureAlgorithm):
		e.Detail = fmt.Sprintf("it is signed with %v, which is not accepted any more", u.Cert.SignatureAlgorithm)
		e.Remedy = "have it issued again, with SHA-256 or better"
	case tried != "":
		e.Detail = fmt.Sprintf("its issuer is %q, and an authority at hand has that name, but did not sign it", certs.Shorten(u.Cert.Issuer.String()))
		if self {
			e.Detail = "it is self-signed, and an authority at hand has that name, but did not sign it"
		}
		e.Detail += ": " + tried
		e.Remedy = "compare the fingerprints: an authority that was made anew under its old name is another one; trust the new one, or show a certificate that the old one has issued"
	case self:
		e.Detail, e.Remedy = "it is self-signed", "add it to the trust roots if it is the right one, or have one issued by a trusted authority"
	default:
		e.Detail = fmt.Sprintf("its issuer %q is not among the trust roots", certs.Shorten(u.Cert.Issuer.String()))
		if ok && len(v.UnverifiedCertificates) == 1 {
			e.Detail += ", and the peer sent no other certificate"
			e.Remedy += ", or have the peer send its intermediate certificates"
		}
	}
}

// triedIn returns what crypto/x509 says of a certificate that has the issuer's name, and with which it has tried in vain. It is empty if there was none.
// Only the text of the error has it.
func triedIn(u x509.UnknownAuthorityError) string {
	more, _ := strings.CutPrefix(u.Error(), x509.UnknownAuthorityError{}.Error())
	return strings.Trim(more, " ()")
}

// isOld tells whether crypto/x509 refuses a signature because of its algorithm.
func isOld(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1, x509.DSAWithSHA256:
		return true
	}
	return false
}

// namesOf lists the first names and addresses of a certificate. It is empty if there
// are none.
func namesOf(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	const most = 5
	var names []string
	for _, n := range c.DNSNames {
		names = append(names, fmt.Sprintf("%q", n))
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// explainInvalid explains errors about a certificate itself.
func (e *HandshakeError) explainInvalid() bool {
	if v, ok := errors.AsType[*tls.CertificateVerificationError](e.Err); ok && len(v.UnverifiedCertificates) > 0 {
		e.Cert = v.UnverifiedCertificates[0]
	}
	if i, ok := errors.AsType[x509.CertificateInvalidError](e.Err); ok {
		if i.Cert != nil {
			e.Cert = i.Cert
		}
		e.Rule, e.Detail, e.Remedy = certs.ErrConstraint, i.Error(), "have it issued again by the rules of its authority"
		switch i.Reason {
		case x509.Expired:
			e.Rule, e.Detail, e.Remedy = certs.ErrExpired, i.Detail, "have the peer renew it, or set this machine's clock"
		case x509.IncompatibleUsage:
			e.Rule, e.Remedy = certs.ErrUsage, "have one issued with the extended key usage for servers or clients that is needed"
		}
		return true
	}
	if isA[x509.ConstraintViolationError](e.Err) || isA[x509.UnhandledCriticalExtension](e.Err) || isA[x509.InsecureAlgorithmError](e.Err) {
		e.Rule, e.Detail, e.Remedy = certs.ErrConstraint, e.Err.Error(), "have it issued again by today's rules"
		return true
	}
	return false
}

func isA[T error](err error) bool {
	_, ok := errors.AsType[T](err)
	return ok
}

// explainPeer explains what the peer sent.
func (e *HandshakeError) explainPeer() bool {
	e.Cert = nil
	if h, ok := errors.AsType[tls.RecordHeaderError](e.Err); ok {
		e.Rule = ErrNotTLS
		e.Detail = fmt.Sprintf("it began with %q", h.RecordHeader[:])
		e.Remedy = "check the port, and whether TLS begins only after STARTTLS"
		for _, p := range plainMeanings {
			if slices.ContainsFunc(p.begins, func(word string) bool { return string(h.RecordHeader[:len(word)]) == word }) {
				e.Remedy = p.remedy
			}
		}
		return true
	}
	// An alert that we sent is a "local error" in crypto/tls.
	op, ok := errors.AsType[*net.OpError](e.Err)
	if !ok || op.Op != "remote error" {
		return false
	}
	n, ok := alertIn(op)
	if !ok {
		return false
	}
	e.Rule, e.Detail = ErrPeerRefused, n.Error()
	for _, a := range alertMeanings {
		if a.number == n {
			e.Detail += ": " + a.means
			e.Remedy = a.remedy
		}
	}
	return true
}

// plainMeanings are the beginnings, of at most 5 bytes, by which protocols are known that peers speak in the place of TLS.
var plainMeanings = []struct {
	begins []string
	remedy string
}{
	{[]string{"HTTP/", "GET ", "POST ", "HEAD ", "PUT ", "PATCH", "DELET", "OPTIO", "CONNE", "TRACE", "PRI *"},
		"that is HTTP in the clear: use the port of HTTPS, or no TLS"},
	{[]string{"PROXY", "\r\n\r\n\x00"},
		`that is a header of the PROXY protocol: read it below TLS, by flow.ReadProxy around tlsio.Server, or by endpoint=haproxy\:[tcp\:PORT] of the place`},
}

// alertMeaning is what an alert of RFC 8446 means to the side that receives it.
type alertMeaning struct {
	number        tls.AlertError
	means, remedy string
}

var alertMeanings = []alertMeaning{
	{40, "it shares no parameters with us, or wants a certificate", "compare the versions, cipher suites and curves of both sides"},
	{42, "it could not use our certificate", "check the certificate that we show, and the peer's log"},
	{43, "it does not take certificates of our kind", "use a certificate with another type of key"},
	{44, "our certificate was revoked", "use a new certificate"},
	{45, "our certificate has expired, by its clock", "renew the certificate, and compare the clocks"},
	{46, "it did not accept our certificate", "check the certificate that we show, and the peer's log"},
	{48, "it does not know the authority that issued our certificate", "show the intermediate certificates too, or have the peer trust the authority"},
	{49, "our certificate is good, but not let in", "ask the peer's operator for access"},
	{51, "a signature or a key was wrong", "check that certificate and key of both sides belong together"},
	{70, "it speaks no version of TLS that we do", "compare MinVersion and MaxVersion of both sides"},
	{71, "it wants stronger parameters than we offer", "offer newer versions and cipher suites"},
	{80, "something failed inside of it", "look into the peer's log"},
	{112, "it serves no such name", "check the host name that was asked for"},
	{116, "it wants a certificate of ours", "give the client a certificate that the peer's authorities issued, with the intermediate certificates up to them: another one is not shown"},
	{120, "none of the protocols offered by ALPN is its own", "compare NextProtos of both sides"},
}
