package endpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/whorl-go/whorl/reactor"
)

// kind is a form in which values are written.
type kind uint8

const (
	kindNone kind = iota
	kindString
	kindBool
	kindInt
	kindUint
	kindPort
	kindMode
	kindDuration
	kindIP
	kindHost
	kindList
)

func kindOf(t reflect.Type) kind {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return kindDuration
	case reflect.TypeFor[netip.Addr]():
		return kindIP
	case reflect.TypeFor[fs.FileMode]():
		return kindMode
	case reflect.TypeFor[Host]():
		return kindHost
	case reflect.TypeFor[[]string]():
		return kindList
	}
	switch t.Kind() {
	case reflect.String:
		return kindString
	case reflect.Bool:
		return kindBool
	case reflect.Uint16:
		return kindPort
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return kindInt
	case reflect.Uint, reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return kindUint
	}
	return kindNone
}

// set gives v the value of text, or adds text to a list. The error names text.
func set(v reflect.Value, text string) (err error) {
	switch kindOf(v.Type()) {
	case kindString:
		v.SetString(text)
	case kindList:
		v.Set(reflect.Append(v, reflect.ValueOf(text)))
	case kindBool:
		switch strings.ToLower(text) {
		case "yes", "true", "1":
			v.SetBool(true)
		case "no", "false", "0":
			v.SetBool(false)
		default:
			err = fmt.Errorf("%q is not yes, no, true, false, 1 or 0", text)
		}
	case kindInt:
		var n int64
		n, err = strconv.ParseInt(text, 10, v.Type().Bits())
		least := int64(-1) << (v.Type().Bits() - 1)
		err = numberError(text, err, "a number", fmt.Sprintf("%d..%d", least, -(least+1)))
		v.SetInt(n)
	case kindUint:
		var n uint64
		n, err = strconv.ParseUint(text, 10, v.Type().Bits())
		err = numberError(text, err, "a number of 0 or more", fmt.Sprintf("0..%d", ^uint64(0)>>(64-v.Type().Bits())))
		v.SetUint(n)
	case kindPort:
		var n uint16
		n, err = parsePort(text)
		v.SetUint(uint64(n))
	case kindMode:
		var n uint64
		n, err = strconv.ParseUint(text, 8, 9)
		if err = numberError(text, err, "an octal number", "1..777"); err == nil && n == 0 {
			err = fmt.Errorf("%q would let nobody in", text)
		}
		v.SetUint(n)
	case kindDuration:
		var d time.Duration
		d, err = parseDuration(text)
		v.SetInt(int64(d))
	case kindIP:
		var ip netip.Addr
		ip, err = parseIP(text)
		v.Set(reflect.ValueOf(ip))
	case kindHost:
		var h Host
		h, err = ParseHost(text)
		v.SetString(string(h))
	}
	return err
}

// format returns the text from which set makes v.
func format(v reflect.Value) string {
	switch kindOf(v.Type()) {
	case kindBool:
		if v.Bool() {
			return "yes"
		}
		return "no"
	case kindMode:
		return strconv.FormatUint(v.Uint(), 8)
	case kindString:
		return v.String()
	case kindList:
		return strings.Join(v.Interface().([]string), ", ")
	case kindIP:
		ip := v.Interface().(netip.Addr)
		if ip.Is6() {
			return "[" + ip.String() + "]"
		}
		if !ip.IsValid() {
			return ""
		}
		return ip.String()
	case kindHost:
		h := Host(v.String())
		if ip, ok := h.IP(); ok && ip.Is6() {
			return "[" + ip.String() + "]"
		}
		return string(h)
	case kindDuration:
		d := time.Duration(v.Int())
		if d%time.Second == 0 {
			return strconv.FormatInt(int64(d/time.Second), 10)
		}
		return d.String()
	}
	if v.CanInt() {
		return strconv.FormatInt(v.Int(), 10)
	}
	return strconv.FormatUint(v.Uint(), 10)
}

func numberError(text string, err error, what, bounds string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("%q is out of range %s", text, bounds)
	}
	return fmt.Errorf("%q is not %s", text, what)
}

// parsePort reads a number or the name of a service (GRAM-8): one of TCP, or one that is of UDP alone, such as tftp.
func parsePort(text string) (uint16, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		if err != nil || n < 0 || n > 65535 {
			return 0, fmt.Errorf("%q is out of range 0..65535", text)
		}
		return uint16(n), nil
	}
	n, err := net.LookupPort("tcp", text)
	if err != nil {
		n, err = net.LookupPort("udp", text)
	}
	if text == "" || err != nil {
		return 0, fmt.Errorf("%q is neither a port number nor a name: %w%s", text, reactor.ErrUnknownService, orderHint(text))
	}
	return uint16(n), nil
}

// orderHint is for who writes a host where the port belongs, as the descriptions of other programs have it.
func orderHint(text string) string {
	if _, err := netip.ParseAddr(text); err != nil && text != "localhost" && text != "*" {
		return ""
	}
	return "; to listen the port comes first, as in tcp:80:interface=127.0.0.1, and to connect the host, as in tcp:127.0.0.1:80"
}

// parseDuration reads a number of seconds, or the form of time.ParseDuration.
func parseDuration(text string) (time.Duration, error) {
	full := text
	if strings.Trim(text, "+-.0123456789") == "" {
		full += "s"
	}
	d, err := time.ParseDuration(full)
	switch {
	case err == nil:
		return d, nil
	case text != "" && strings.Trim(text, "0123456789") == "":
		return 0, fmt.Errorf("%s seconds are more than the longest duration, of 292 years", text)
	default:
		return 0, fmt.Errorf("%q is neither a number of seconds nor a duration such as 1m30s", text)
	}
}

// parseIP reads an IP literal, with its scope, in brackets or not. "" is the zero Addr.
func parseIP(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	ip, err := netip.ParseAddr(unbracket(text))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", text)
	}
	return ip, nil
}

// unbracket removes brackets around text, if there are any.
func unbracket(text string) string {
	if len(text) >= 2 && text[0] == '[' && text[len(text)-1] == ']' {
		return text[1 : len(text)-1]
	}
	return text
}
