package socks

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"syscall"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/receiver"
)

// The replies of RFC 1928.
const (
	succeeded = iota
	generalFailure
	notAllowed
	networkUnreachable
	hostUnreachable
	connectionRefused
	ttlExpired // timed out: there is no other for it
	commandUnknown
	addressUnknown
)

// The methods of RFC 1928.
const (
	noAuthentication = 0
	userPassword     = 2
	noMethod         = 0xff
)

// The kinds of addresses.
const (
	ipv4   = 1
	domain = 3
	ipv6   = 4
)

var (
	errVersion  = kernel.Sentinel("not SOCKS5")
	errMethod   = kernel.Sentinel("no method of authentication in common")
	errPassword = kernel.Sentinel("wrong name or password")
	errCommand  = kernel.Sentinel("the command is not CONNECT")
	errAddress  = kernel.Sentinel("malformed address")
)

// replyOf is the reply for an attempt that failed.
func replyOf(err error) byte {
	for _, r := range []struct {
		is   error
		code byte
	}{
		{kernel.ErrRefused, connectionRefused},
		{reactor.ErrUnknownHost, hostUnreachable},
		{kernel.ErrTimeout, ttlExpired},
		{syscall.EHOSTUNREACH, hostUnreachable},
		{kernel.ErrNoRoute, networkUnreachable},
		{kernel.ErrPermission, notAllowed},
	} {
		if errors.Is(err, r.is) {
			return r.code
		}
	}
	return generalFailure
}

// refuse ends the conversation. The caller has said why, if the protocol has words for it.
func (c *client) refuse(why error) receiver.Step {
	c.why = why
	return receiver.Step{}
}

func (c *client) greeting(p []byte) receiver.Step {
	if p[0] != 5 {
		return c.refuse(errVersion)
	}
	return receiver.Step{Size: int(p[1]), Received: c.methods}
}

func (c *client) methods(offered []byte) receiver.Step {
	method, next := byte(noAuthentication), receiver.Step{Size: 4, Received: c.request}
	if c.proxy.Check != nil {
		method, next = userPassword, receiver.Step{Size: 2, Received: c.userLength}
	}
	for _, m := range offered {
		if m == method {
			c.T.Write([]byte{5, method})
			return next
		}
	}
	c.T.Write([]byte{5, noMethod})
	return c.refuse(errMethod)
}

func (c *client) userLength(p []byte) receiver.Step {
	if p[0] != 1 {
		return c.refuse(errVersion)
	}
	return receiver.Step{Size: int(p[1]) + 1, Received: func(p []byte) receiver.Step { // and the length of the password
		last := len(p) - 1
		c.user = string(p[:last])
		return receiver.Step{Size: int(p[last]), Received: c.password}
	}}
}

func (c *client) password(p []byte) receiver.Step {
	if !c.proxy.Check(c.user, string(p)) {
		c.T.Write([]byte{1, 1})
		return c.refuse(errPassword)
	}
	c.T.Write([]byte{1, 0})
	return receiver.Step{Size: 4, Received: c.request}
}

func (c *client) request(p []byte) receiver.Step {
	if p[0] != 5 {
		return c.refuse(errVersion)
	}
	if p[1] != 1 {
		c.fail(commandUnknown, errCommand)
		return receiver.Step{}
	}
	switch p[3] {
	case ipv4:
		return receiver.Step{Size: 4 + 2, Received: c.address}
	case ipv6:
		return receiver.Step{Size: 16 + 2, Received: c.address}
	case domain:
		return receiver.Step{Size: 1, Received: func(p []byte) receiver.Step {
			return receiver.Step{Size: int(p[0]) + 2, Received: c.name}
		}}
	}
	c.fail(addressUnknown, errAddress)
	return receiver.Step{}
}

func (c *client) address(p []byte) receiver.Step {
	host, port := len(p)-2, binary.BigEndian.Uint16(p[len(p)-2:])
	ip, _ := netip.AddrFromSlice(p[:host])
	c.connect(kernel.TCPAddr(ip.Unmap(), port))
	return receiver.Step{}
}

func (c *client) name(p []byte) receiver.Step {
	host, port := string(p[:len(p)-2]), binary.BigEndian.Uint16(p[len(p)-2:])
	if host == "" { // to the reactor that is this host
		c.fail(addressUnknown, errAddress)
		return receiver.Step{}
	}
	c.connect(kernel.HostAddr(host, port))
	return receiver.Step{}
}

// reply writes a reply. A bound that is not valid is written as the IPv4 zero address.
func (c *client) reply(code byte, bound netip.AddrPort) {
	ip, kind := bound.Addr().Unmap(), byte(ipv4)
	if !ip.IsValid() {
		ip = netip.IPv4Unspecified()
	}
	if ip.Is6() {
		kind = ipv6
	}
	answer := append([]byte{5, code, 0, kind}, ip.AsSlice()...)
	c.T.Write(binary.BigEndian.AppendUint16(answer, bound.Port()))
}
