package certs_test

import (
	"errors"
	"net/netip"
	"regexp"
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
		"ليهمابتكلموشعربي؟":     "xn--egbpdaj6bu4bxfgehfvwxn",
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
		"bu\u0308cher.example":          "xn--bcher-kva.example", // u and two dots, not composed
		"BU\u0308CHER.example":          "xn--bcher-kva.example",
		"ｅxample.com":                   "example.com", // a letter of full width
		"ｅxämple．com":                   "xn--exmple-cua.com",
		"\u212aelvin.example":           "kelvin.example",  // the sign for Kelvin
		"STRASSE.ß":                     "strasse.xn--zca", // ß is a letter of its own
		"Faß.de":                        "xn--fa-hia.de",
		"βόλος.com":                     "xn--nxasmm1c.com", // and so is a final sigma
		"ΒΌΛΟΣ.com":                     "xn--nxasmq6b.com",
		"co\u00adop.ü":                  "coop.xn--tda", // a soft hyphen is nothing
		"नी\u200dका.example":            "",
		"क्\u200dष.example":             "xn--11b2ezcw70k.example", // a joiner where a script needs it
		"a\u200db.com":                  "",
		"1א.example":                    "", // both directions in a label
		"\u0308u.example":               "", // a mark without a letter
		"a≠b.example":                   "",
		"ü_b.example":                   "",
		"ü.a_b":                         "",
		"ü b.example":                   "",
		"ü-.example":                    "",
		"ü..example":                    "",
		".ü":                            "",
		"\u00ad.ü":                      "",
		"xn--a.ü":                       "", // not what any label is encoded as
		"ü.XN--BCHER-KVA":               "xn--tda.xn--bcher-kva",
		"bücher.example.":               "xn--bcher-kva.example",
		"bücher。example。":               "xn--bcher-kva.example",
		"１９２.0.2.1":                     "", // neither a name nor how an address is written
		"192。0。2。1":                     "",
		"\xff.com":                      "",
		"\ufffd.com":                    "",
		"ü\xff.com":                     "",
		strings.Repeat("a", 64) + ".b":  "",
		strings.Repeat("ü", 60) + ".b":  "",
		strings.Repeat("a.", 130) + "b": "",
	} {
		got, err := certs.ServerName(host)
		if want == "" {
			tlstest.WantError(t, err, certs.ErrName)
			if e, ok := errors.AsType[*certs.NameError](err); !ok || e.Name != host || e.Err == nil {
				t.Errorf("%q: %#v", host, err)
			}
		} else if err != nil {
			t.Errorf("%q: %v", host, err)
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}

// Who gives the address of a server, or its URL, hears what to leave out.
func TestServerNameAlone(t *testing.T) {
	for _, host := range []string{"example.com:443", "127.0.0.1:443", "https://example.com", "example.com/x"} {
		_, err := certs.ServerName(host)
		tlstest.WantError(t, err, certs.ErrName, "give the host alone, without a scheme, a port or a path")
	}
}

// What ServerName returns is a name of DNS or an address, and is its own ServerName.
func FuzzServerName(f *testing.F) {
	for _, s := range []string{"example.com", "Bücher.example", "bu\u0308cher", "[::1%eth0]", "１.2", "xn--a.ü", "\xff", "ü。", "\u00ad"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		name, err := certs.ServerName(host)
		if err != nil {
			tlstest.WantError(t, err, certs.ErrName)
			return
		}
		if again, err := certs.ServerName(name); err != nil || again != name {
			t.Errorf("%q became %q, and that %q: %v", host, name, again, err)
		}
		if _, err := netip.ParseAddr(name); err != nil && !regexp.MustCompile(`^([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$`).MatchString(name) {
			t.Errorf("%q became %q", host, name)
		}
	})
}
