package flow_test

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/flow"
	"github.com/whorl-go/whorl/kernel"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

func tcp(text string) kernel.Addr {
	return kernel.Addr{Net: kernel.TCP, IP: netip.MustParseAddrPort(text)}
}

func unixName(text string) kernel.Addr { return kernel.Addr{Net: kernel.UNIX, Name: text} }

func padded(name string) string { return name + strings.Repeat("\x00", 108-len(name)) }

// goodHeaders are headers as they come, and what they say.
func goodHeaders() map[string]flow.ProxyHeader {
	client, server := tcp("192.0.2.7:4711"), tcp("198.51.100.1:443")
	client6, server6 := tcp("[2001:db8::7]:4711"), tcp("[2001:db8::1]:443")
	udp, udpTo := client, server
	udp.Net, udpTo.Net = kernel.UDP, kernel.UDP
	long := strings.Repeat("f:", 20)[:39]
	return map[string]flow.ProxyHeader{
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n":  {Version: 1, Source: client, Destination: server},
		"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n": {Version: 1, Source: client6, Destination: server6},
		"PROXY TCP4 192.0.2.7 198.51.100.1 0 65535\r\n":   {Version: 1, Source: tcp("192.0.2.7:0"), Destination: tcp("198.51.100.1:65535")},
		"PROXY UNKNOWN\r\n": {Version: 1},
		"PROXY UNKNOWN " + long + " " + long + " 1 2\r\n":       {Version: 1},
		"PROXY UNKNOWN " + strings.Repeat("x", 107-16) + "\r\n": {Version: 1}, // PROXY-1: 107 bytes

		signature + "\x20\x00\x00\x00":    {Version: 2, Own: true},
		signature + "\x20\xf7\x00\x03abc": {Version: 2, Own: true},
		signature + "\x21\x00\x00\x00":    {Version: 2},
		signature + "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb": {Version: 2, Source: client, Destination: server},
		signature + "\x21\x12\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb": {Version: 2, Source: udp, Destination: udpTo},
		signature + "\x21\x11\x00\x13\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x01\xbb\x02\x00\x04host": {Version: 2,
			Source: client, Destination: server, Extensions: flow.ProxyExtensions("\x02\x00\x04host")},
		signature + "\x21\x21\x00\x24" + string(client6.IP.Addr().AsSlice()) + string(server6.IP.Addr().AsSlice()) + "\x12\x67\x01\xbb": {Version: 2,
			Source: client6, Destination: server6},
		signature + "\x21\x31\x00\xd8" + padded("/run/c") + padded("/run/s"): {Version: 2, Source: unixName("/run/c"), Destination: unixName("/run/s")},
		signature + "\x21\x31\x00\xd8" + padded(strings.Repeat("n", 108)) + padded(""): {Version: 2,
			Source: unixName(strings.Repeat("n", 108)), Destination: unixName("")},
		signature + "\x21\x31\x00\xd8" + padded("\x00abstract") + padded("./@file"): {Version: 2, Source: unixName("@abstract"), Destination: unixName("./@file")},
	}
}

func sameHeader(a, b flow.ProxyHeader) bool {
	return a.Version == b.Version && a.Own == b.Own && a.Source == b.Source && a.Destination == b.Destination && bytes.Equal(a.Extensions, b.Extensions)
}

// PROXY-1, PROXY-2: what each header says, and that what is behind it is not part of it (PROXY-4). PROXY-6: every beginning of
// one waits for more.
func TestParseProxyHeader(t *testing.T) {
	for text, want := range goodHeaders() {
		h, n, err := flow.ParseProxyHeader([]byte(text + "\r\nbehind"))
		if err != nil || n != len(text) || !sameHeader(h, want) {
			t.Errorf("%q: %+v, %d bytes, %v; want %+v, %d bytes", text, h, n, err, want, len(text))
		}
		for i := range len(text) {
			if h, n, err := flow.ParseProxyHeader([]byte(text[:i])); n != 0 || err != nil || !sameHeader(h, flow.ProxyHeader{Version: h.Version}) && !h.Own {
				t.Fatalf("%q, the first %d bytes: %+v, %d bytes, %v", text, i, h, n, err)
			}
		}
	}
}

// PROXY-3, PROXY-6: what is bad fails, and as soon as the bad byte is there.
func TestParseProxyHeaderBad(t *testing.T) {
	for _, text := range []string{
		"GET / HTTP/1.1\r\n", "PROXY\r\n", "PROXX", "\r\n\r\n\x00\r\nQUIT\r", "\r\n\r\r", "proxy TCP4", "P ",
		"PROXY \r\n", "PROXY TCP4\r\n", "PROXY TCP4 \r\n", "PROXY TCP5 192.0.2.7 198.51.100.1 4711 443\r\n",
		"PROXY UDP4 192.0.2.7 198.51.100.1 4711 443\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443 1\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443 \r\n",
		"PROXY TCP4  192.0.2.7 198.51.100.1 4711 443\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 99999\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 -1\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 +1\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 0443\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 port 443\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1  443\r\n",
		"PROXY TCP4 192.0.2.777 198.51.100.1 4711 443\r\n",
		"PROXY TCP4 2001:db8::7 2001:db8::1 4711 443\r\n",
		"PROXY TCP6 192.0.2.7 198.51.100.1 4711 443\r\n",
		"PROXY TCP6 fe80::1%eth0 2001:db8::1 4711 443\r\n",
		"PROXY UNKNOWNX\r\n", "PROXY UNKNOWN \r \r\n",
		"PROXY UNKNOWN " + strings.Repeat("x", 107-15) + "\r\n",
		"PROXY UNKNOWN " + strings.Repeat("x", 107-14),

		signature + "\x11", signature + "\x31", signature + "\x22", signature + "\x2f",
		signature + "\x21\x41", signature + "\x21\x13", signature + "\x21\x10", signature + "\x21\x03",
		signature + "\x21\x11\x00\x0b", signature + "\x21\x21\x00\x23", signature + "\x21\x31\x00\xd7",
	} {
		if _, n, err := flow.ParseProxyHeader([]byte(text)); n != 0 || !errors.Is(err, flow.ErrProxyHeader) {
			t.Errorf("%q: %d bytes, %v; want ErrProxyHeader", text, n, err)
		}
	}
}

// PROXY-1, PROXY-2: what is written is what is read.
func TestAppendProxyHeader(t *testing.T) {
	for text, h := range goodHeaders() {
		p, err := flow.AppendProxyHeader([]byte("before"), h)
		if err != nil || string(p[:6]) != "before" {
			t.Errorf("%+v: %q, %v", h, p, err)
			continue
		}
		if got, n, err := flow.ParseProxyHeader(p[6:]); err != nil || n != len(p)-6 || !sameHeader(got, h) {
			t.Errorf("%q: %q is read as %+v, %d bytes, %v", text, p[6:], got, n, err)
		}
		if h.Known() && string(p[6:]) != text {
			t.Errorf("written %q, want %q", p[6:], text)
		}
	}
}

// PROXY-1, PROXY-2: what a header cannot say.
func TestAppendProxyHeaderOdd(t *testing.T) {
	a4, a6 := tcp("192.0.2.7:1"), tcp("[2001:db8::1]:2")
	if p, err := flow.AppendProxyHeader(nil, flow.ProxyHeader{Version: 1, Source: a4, Destination: a6}); err != nil ||
		string(p) != "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n" {
		t.Errorf("%q, %v", p, err)
	}
	if p, err := flow.AppendProxyHeader(nil, flow.ProxyHeader{Version: 1, Source: unixName("a"), Destination: unixName("b")}); err != nil ||
		string(p) != "PROXY UNKNOWN\r\n" {
		t.Errorf("%q, %v", p, err)
	}
	long := unixName(strings.Repeat("n", 109))
	for _, h := range []flow.ProxyHeader{
		{Version: 3, Source: a4, Destination: a4},
		{Source: a4}, {Destination: a4}, {Source: a4, Destination: unixName("a")},
		{Source: kernel.HostAddr("host", 1), Destination: a4},
		{Source: long, Destination: unixName("a")}, {Source: unixName("a"), Destination: long},
		{Source: a4, Destination: a4, Extensions: make([]byte, 65536-12)},
	} {
		if p, err := flow.AppendProxyHeader([]byte("x"), h); !errors.Is(err, flow.ErrProxyHeader) || string(p) != "x" {
			t.Errorf("%+v: %q, %v; want ErrProxyHeader", h, p, err)
		}
	}
}

// PROXY-2: extensions are taken apart, as far as they are whole.
func TestProxyExtensions(t *testing.T) {
	e, err := flow.ProxyExtensions(nil).Append(1, []byte("h2"))
	if err == nil {
		e, err = e.Append(0xe0, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Append(1, make([]byte, 65536)); !errors.Is(err, flow.ErrProxyHeader) {
		t.Errorf("65536 bytes: %v", err)
	}
	var all []string
	for kind, value := range append(e, 7, 0, 9, 'x').All() {
		all = append(all, string(kind)+string(value))
	}
	if len(all) != 2 || all[0] != "\x01h2" || all[1] != "\u00e0" {
		t.Errorf("%q", all)
	}
}

// FuzzParseProxyHeader: no header panics, what was parsed can be written again and says the same (PROXY-6), and more
// input behind a header changes nothing.
func FuzzParseProxyHeader(f *testing.F) {
	for text := range goodHeaders() {
		f.Add([]byte(text))
		f.Add([]byte(text + "x"))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, n, err := flow.ParseProxyHeader(p)
		if err != nil || n == 0 {
			if n != 0 || err == nil && len(p) >= 16+65535 {
				t.Fatalf("%d bytes of %d, %v", n, len(p), err)
			}
			return
		}
		if again, m, err := flow.ParseProxyHeader(p[:n]); err != nil || m != n || !sameHeader(h, again) {
			t.Fatalf("without what is behind: %+v, %d, %v; with it %+v, %d", again, m, err, h, n)
		}
		for kind, value := range h.Extensions.All() {
			_, _ = kind, value
		}
		q, err := flow.AppendProxyHeader(nil, h)
		if err != nil {
			t.Fatalf("%+v: %v", h, err)
		}
		if again, _, err := flow.ParseProxyHeader(q); err != nil || !sameHeader(h, again) {
			t.Fatalf("%+v is written as %q, and read as %+v, %v", h, q, again, err)
		}
	})
}

// PROXY-2: a UNIX name ends at its first zero byte, as for the system, and a file whose name begins like an abstract one is not taken for it.
func TestProxyUNIXNames(t *testing.T) {
	for wire, want := range map[string]string{"/run/c\x00/run/root": "/run/c", "@file": "./@file", "\x00a\x00b": "@a\x00b", "": "", "\x00": ""} {
		h, n, err := flow.ParseProxyHeader([]byte(signature + "\x21\x31\x00\xd8" + padded(wire) + padded("/run/s")))
		if err != nil || n == 0 || h.Source != unixName(want) {
			t.Errorf("%q: %+v, %v, want %q", wire, h.Source, err, want)
		}
	}
	longest := "@" + strings.Repeat("x", 107) // with the "./" that tells it from an abstract name it is too long for the system
	h, _, err := flow.ParseProxyHeader([]byte(signature + "\x21\x31\x00\xd8" + longest + padded("/run/s")))
	if err != nil || h.Source != unixName("./"+longest) {
		t.Fatalf("PROXY-2: %+v, %v", h, err)
	}
	b, err := flow.AppendProxyHeader(nil, h)
	if again, _, e := flow.ParseProxyHeader(b); err != nil || e != nil || !sameHeader(h, again) {
		t.Errorf("PROXY-6: %v; written as %q, and read as %+v, %v", err, b, again, e)
	}
	h.Source.Name = "./@" + strings.Repeat("x", 108)
	if _, err := flow.AppendProxyHeader(nil, h); !errors.Is(err, flow.ErrProxyHeader) {
		t.Errorf("PROXY-6: a longer name: %v", err)
	}
}
