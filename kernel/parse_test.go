package kernel_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/whorl-go/whorl/kernel"
)

// ADDR-8: ParseAddr is the inverse of String, and takes the network too.
func TestParseAddr(t *testing.T) {
	mapped := kernel.TCPAddr(netip.MustParseAddr("::ffff:127.0.0.1"), 80)
	for _, a := range []kernel.Addr{
		kernel.TCPAddr(ip4, 80), kernel.TCPAddr(ip4, 0), kernel.TCPAddr(ip4, 65535), kernel.TCPAddr(ip6, 80), kernel.TCPAddr(eth0, 80),
		kernel.TCPAddr(netip.IPv4Unspecified(), 1), kernel.TCPAddr(netip.IPv6Unspecified(), 1), mapped,
		kernel.TCPAddr(netip.MustParseAddr("fe80::1%a]:b"), 1),
		kernel.HostAddr("example.org", 443), kernel.HostAddr("localhost", 0), kernel.HostAddr("example.org.", 443),
		kernel.HostAddr("tcp", 80), kernel.HostAddr("udp", 80), kernel.HostAddr("bücher.example", 80), kernel.HostAddr("4host_-", 1),
	} {
		for _, text := range []string{a.String(), "tcp:" + a.String()} {
			if got, err := kernel.ParseAddr(text); err != nil || got != a {
				t.Errorf("ADDR-8: ParseAddr(%q): %#v, %v; want %#v", text, got, err, a)
			}
		}
		a.Net = kernel.UDP
		if got, err := kernel.ParseAddr("udp:" + a.String()); err != nil || got != a {
			t.Errorf("ADDR-8: ParseAddr(%q): %#v, %v", "udp:"+a.String(), got, err)
		}
	}
	for text, want := range map[string]kernel.Addr{
		"unix:/run/x:1": {Net: kernel.UNIX, Name: "/run/x:1"},
		"unixgram:y":    {Net: kernel.UNIXDatagram, Name: "y"},
	} {
		if got, err := kernel.ParseAddr(text); err != nil || got != want {
			t.Errorf("ADDR-8: ParseAddr(%q): %#v, %v", text, got, err)
		}
	}
}

// ADDR-8: what is no address is a ParseError that says why.
func TestParseAddrErrors(t *testing.T) {
	for text, reason := range map[string]string{
		"":                           "it is empty",
		"example.org":                "it has no port",
		"127.0.0.1":                  "it has no port",
		"[::1]":                      "it has no port",
		"/run/x":                     "it has no port",
		"example.org:":               `port "" is not a number from 0 to 65535`,
		"example.org:http":           `port "http" is not a number from 0 to 65535`,
		"example.org:65536":          `port "65536" is not a number from 0 to 65535`,
		"example.org:-1":             `port "-1" is not a number from 0 to 65535`,
		"example.org:+1":             `port "+1" is not a number from 0 to 65535`,
		":80":                        "it has no host; all addresses of this host are 0.0.0.0 or [::]",
		"tcp::80":                    "it has no host; all addresses of this host are 0.0.0.0 or [::]",
		".:80":                       "it has no host",
		"::1:80":                     "there is more than one ':'; an IPv6 address must stand in brackets",
		"tcp:127.0.0.1:80:nodelay=1": "there is more than one ':'; an IPv6 address must stand in brackets",
		"[::1":                       "there is no ']'",
		"[::1]80":                    "a ':' must follow the ']'",
		"[127.0.0.1]:80":             `"127.0.0.1" is not an IPv6 address`,
		"[example.org]:80":           `"example.org" is not an IPv6 address`,
		"[]:80":                      `"" is not an IPv6 address`,
		"[fe80::1%]:80":              `"fe80::1%" is not an IPv6 address`,
		"1.2.3.400:80":               `"1.2.3.400" is neither an IP address nor a name`,
		"127.0.0.01:80":              `"127.0.0.01" is neither an IP address nor a name`,
		"a b:80":                     "' ' cannot stand in a host",
		"a%eth0:80":                  "'%' cannot stand in a host",
		"a\xff:80":                   "the host is not UTF-8",
		"unix:":                      "it has no path",
	} {
		a, err := kernel.ParseAddr(text)
		e, ok := errors.AsType[*kernel.ParseError](err)
		if !ok || e.Reason != reason || e.Text != text || !errors.Is(err, kernel.ErrInvalidAddr) || !a.IsZero() {
			t.Errorf("ADDR-8: ParseAddr(%q): %v, %v; want %s", text, a, err, reason)
		}
	}
}

// ADDR-8: what ParseAddr takes, String writes so that it is taken again, for the same address.
func FuzzParseAddr(f *testing.F) {
	for _, text := range []string{"127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "example.org:80", "tcp:80", "tcp:a:80", "udp:a:80", "unix:/x", "[::ffff:1.2.3.4]:1", "[fe80::1%]]:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := kernel.ParseAddr(text)
		if err != nil {
			if _, ok := errors.AsType[*kernel.ParseError](err); !ok || !a.IsZero() {
				t.Fatalf("ADDR-8: ParseAddr(%q): %v, %v", text, a, err)
			}
			return
		}
		again := a.String()
		if a.Net != kernel.TCP {
			again = a.Network() + ":" + again
		}
		if b, err := kernel.ParseAddr(again); err != nil || a != b {
			t.Errorf("ADDR-8: %q is %#v, and its text %q is %#v, %v", text, a, again, b, err)
		}
		if a.Net == kernel.TCP {
			if err := kernel.CheckAddr(kernel.OpConnect, a); err != nil && a.Port() != 0 && a.Name == "" {
				t.Errorf("ADDR-8: %q is %#v, which cannot be dialled: %v", text, a, err)
			}
		}
	})
}
