package certs

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"unicode"
)

// ErrName: a host name that cannot be asked for, or, in a handshake, one that the
// certificate is not for.
var ErrName = errors.New("wrong host name")

// ServerName is host as tls.Config.ServerName wants it. A DNS name becomes ASCII
// (IDNA, with xn-- labels), in lower case and without a final dot; crypto/tls sends
// it as SNI and checks it against the certificate's DNS names. An IP address, also
// in brackets or with a zone, becomes the bare address: crypto/tls sends no SNI and
// checks it against the certificate's IP addresses (TLS-41).
//
// Labels that are not ASCII are put into lower case and nothing more is mapped: a
// combining accent or a full-width letter is refused, and must be given composed, or
// as xn--. Anything that is no host name is ErrName.
func ServerName(host string) (string, error) {
	bare := host
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		bare = host[1 : len(host)-1]
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		return ip.WithZone("").Unmap().String(), nil
	}
	name := strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".").Replace(host)
	name = strings.TrimSuffix(name, ".")
	labels := strings.Split(name, ".")
	for i, label := range labels {
		ascii, err := asciiLabel(label)
		if err != nil {
			return "", fmt.Errorf("%w: %q: %w", ErrName, host, err)
		}
		labels[i] = ascii
	}
	if name = strings.Join(labels, "."); len(name) > 253 {
		return "", fmt.Errorf("%w: %q: longer than 253 bytes", ErrName, host)
	}
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" {
		return "", fmt.Errorf("%w: %q: neither an IP address nor a name", ErrName, host)
	}
	return name, nil
}

// asciiLabel is one label of a name in ASCII.
func asciiLabel(label string) (string, error) {
	runes := []rune(label)
	if len(runes) > 63 {
		return "", fmt.Errorf("label %q is longer than 63 bytes", label)
	}
	ascii := true
	for i, c := range runes {
		c = unicode.ToLower(c)
		runes[i] = c
		switch {
		case c < 0x80:
			if c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
				return "", fmt.Errorf("%q has no place in a host name", c)
			}
			continue
		case c >= 0x300 && c <= 0x36f, c >= 0xff00 && c <= 0xffef:
			return "", fmt.Errorf("%U: give the composed letter of normal width, or the label as xn--", c)
		case !unicode.In(c, unicode.L, unicode.M, unicode.N) || c == unicode.ReplacementChar:
			return "", fmt.Errorf("%U has no place in a host name", c)
		}
		ascii = false
	}
	out := string(runes)
	if !ascii {
		if unicode.Is(unicode.M, runes[0]) {
			return "", fmt.Errorf("label %q begins with a combining mark", label)
		}
		out = "xn--" + punycode(runes)
	}
	switch {
	case out == "":
		return "", fmt.Errorf("an empty label")
	case len(out) > 63:
		return "", fmt.Errorf("label %q is longer than 63 bytes", label)
	case out[0] == '-' || out[len(out)-1] == '-':
		return "", fmt.Errorf("label %q begins or ends with a hyphen", label)
	}
	return out, nil
}

// The parameters of RFC 3492, section 5.
const (
	punyBase        = 36
	punyMin         = 1
	punyMax         = 26
	punySkew        = 38
	punyDamp        = 700
	punyInitialBias = 72
)

// punycode encodes a label of at most 63 letters as RFC 3492, section 6.3 says:
// so few that nothing overflows.
func punycode(label []rune) string {
	var out []byte
	for _, c := range label {
		if c < 0x80 {
			out = append(out, byte(c))
		}
	}
	basic := len(out)
	handled := basic
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := rune(0x80), 0, punyInitialBias
	for handled < len(label) {
		least := rune(math.MaxInt32)
		for _, c := range label {
			if c >= n {
				least = min(least, c)
			}
		}
		delta += int(least-n) * (handled + 1)
		n = least
		for _, c := range label {
			switch {
			case c < n:
				delta++
			case c == n:
				out = punyNumber(out, delta, bias)
				bias = punyAdapt(delta, handled+1, handled == basic)
				delta = 0
				handled++
			}
		}
		delta++
		n++
	}
	return string(out)
}

// punyNumber appends delta as a number of variable length.
func punyNumber(out []byte, delta, bias int) []byte {
	for k := punyBase; ; k += punyBase {
		t := min(max(k-bias, punyMin), punyMax)
		if delta < t {
			return append(out, punyDigit(delta))
		}
		out = append(out, punyDigit(t+(delta-t)%(punyBase-t)))
		delta = (delta - t) / (punyBase - t)
	}
}

func punyDigit(d int) byte { return "abcdefghijklmnopqrstuvwxyz0123456789"[d] }

func punyAdapt(delta, points int, first bool) int {
	if delta /= 2; first {
		delta = delta * 2 / punyDamp
	}
	delta += delta / points
	k := 0
	for ; delta > (punyBase-punyMin)*punyMax/2; k += punyBase {
		delta /= punyBase - punyMin
	}
	return k + (punyBase-punyMin+1)*delta/(delta+punySkew)
}
