package main

import (
	"crypto/tls"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/tlsio"
)

// withoutConnection removes the variables that connectionEnv may set, which this process may have from a server of its own.
func withoutConnection(env []string) []string {
	return slices.DeleteFunc(env, func(v string) bool {
		for _, prefix := range []string{"PROTO=", "TCPREMOTE", "TCPLOCAL", "UNIXREMOTE", "UNIXLOCAL", "SSL_PROTOCOL=", "SSL_CIPHER=", "SSL_TLS_SNI=", "SSL_CLIENT_S_DN="} {
			if strings.HasPrefix(v, prefix) {
				return true
			}
		}
		return false
	})
}

// replaced is env with more, whose names count.
func replaced(env, more []string) []string {
	for _, v := range more {
		name, _, _ := strings.Cut(v, "=")
		env = slices.DeleteFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		env = append(env, v)
	}
	return env
}

// userEnv are the variables that tell a program who its user is, and where it has its files.
func userEnv(name string) ([]string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return nil, err
		}
	}
	return []string{"HOME=" + u.HomeDir, "USER=" + u.Username, "LOGNAME=" + u.Username}, nil
}

// connectionEnv are the variables that tell a program of its connection, as UCSPI has them.
func connectionEnv(t reactor.Transport) (env []string) {
	local, remote := t.Local(), t.Remote()
	switch local.Net {
	case kernel.TCP:
		env = append(env, "PROTO=TCP",
			"TCPREMOTEIP="+remote.Host(), "TCPREMOTEPORT="+strconv.Itoa(int(remote.Port())),
			"TCPLOCALIP="+local.Host(), "TCPLOCALPORT="+strconv.Itoa(int(local.Port())))
	case kernel.UNIX:
		env = append(env, "PROTO=UNIX", "UNIXLOCALPATH="+printable(local.Name))
		if s, ok := reactor.As[*reactor.Stream](t); ok {
			if cr, err := s.Credentials(); err == nil {
				env = append(env, "UNIXREMOTEEUID="+strconv.Itoa(int(cr.UID)), "UNIXREMOTEEGID="+strconv.Itoa(int(cr.GID)))
				if cr.PID > 0 {
					env = append(env, "UNIXREMOTEPID="+strconv.Itoa(int(cr.PID)))
				}
			}
		}
	}
	if c, ok := reactor.As[*tlsio.Conn](t); ok {
		env = append(env, tlsEnv(c.ConnectionState())...)
	}
	return env
}

// tlsEnv are the variables of TLS, by the names that other servers have for them.
func tlsEnv(s tls.ConnectionState) []string {
	env := []string{"SSL_PROTOCOL=" + strings.ReplaceAll(tls.VersionName(s.Version), "TLS 1.", "TLSv1."), "SSL_CIPHER=" + tls.CipherSuiteName(s.CipherSuite)}
	if s.ServerName != "" {
		env = append(env, "SSL_TLS_SNI="+printable(s.ServerName))
	}
	if len(s.PeerCertificates) > 0 {
		env = append(env, "SSL_CLIENT_S_DN="+printable(s.PeerCertificates[0].Subject.String()))
	}
	return env
}

// printable is text without NUL bytes, which no variable can have. An abstract socket has one.
func printable(text string) string { return strings.ReplaceAll(text, "\x00", "@") }
