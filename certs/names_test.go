package certs_test

import (
	"strings"
	"testing"

	"github.com/whorl-go/whorl/certs"
	"github.com/whorl-go/whorl/internal/tlstest"
)

// TestServerName is TLS-41: the form of a host that is asked for. The labels in xn--
// are those of RFC 3492, section 7.1, and of the registries.
func TestServerName(t *testing.T) {
	for host, want := range map[string]string{
		"example.com":           "example.com",
		"Example.COM.":          "example.com",
		"localhost":             "localhost",
		"_dmarc.example.com":    "_dmarc.example.com",
		"xn--bcher-kva.example": "xn--bcher-kva.example",
		"bücher.example":        "xn--bcher-kva.example",
		"BÜCHER.example":        "xn--bcher-kva.example",
		"straße.de":             "xn--strae-oqa.de",
		"例え.テスト":                "xn--r8jz45g.xn--zckzah",
		"例え。テスト":                "xn--r8jz45g.xn--zckzah",
		"правда.рф":             "xn--80aafi6cg.xn--p1ai",
		"ليهمابتكلموشعربي؟":     "", // a question mark is no letter
		"他们为什么不说中文":             "xn--ihqwcrb4cv8a8dqg056pqjye",
		"почемужеонинеговорятпорусски": "xn--b1abfaaepdrnnbgefbadotcwatmq2g4l",
		"3年b組金八先生":                      "xn--3b-ww4c5e180e575a65lsy2b",
		"münchen-ost.de":                "xn--mnchen-ost-9db.de",
		"192.0.2.1":                     "192.0.2.1",
		"[2001:DB8::1]":                 "2001:db8::1",
		"fe80::1%eth0":                  "fe80::1",
		"::ffff:192.0.2.1":              "192.0.2.1",
		"":                              "",
		".":                             "",
		"a..b":                          "",
		"a b":                           "",
		"a\nb":                          "",
		"-a.com":                        "",
		"a-.com":                        "",
		"*.example.com":                 "",
		"example.com:443":               "",
		"[example.com]":                 "",
		"192.0.2":                       "",
		"192.0.2.256":                   "",
		"bu\u0308cher.example":          "", // u and two dots, not composed
		"ｅxample.com":                   "",
		"a\u200db.com":                  "",
		"\xff.com":                      "",
		strings.Repeat("a", 64) + ".b":  "",
		strings.Repeat("ü", 60) + ".b":  "",
		strings.Repeat("a.", 130) + "b": "",
	} {
		got, err := certs.ServerName(host)
		if want == "" {
			tlstest.WantError(t, err, certs.ErrName)
		} else if err != nil {
			t.Errorf("%q: %v", host, err)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}
