package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/reactor"
)

// start serves until the test ends, and returns the address, the directory of mail, the file of
// the authority and its pool.
func start(t *testing.T) (addr, dir, ca string, authority *tlstest.Authority) {
	t.Helper()
	dir = t.TempDir()
	authority = tlstest.NewAuthorityAt("ca", time.Now())
	ca = tlstest.WriteFile(t, dir, "ca.pem", authority.PEM())
	pem := tlstest.WriteFile(t, dir, "server.pem", tlstest.BothPEM(authority.Leaf("localhost")))
	server, err := newServer(dir, pem)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	place, result := make(chan string, 1), make(chan error, 1)
	c := whorl.Config{Started: func(_ *reactor.Reactor, open []endpoint.Listener) { place <- open[0].Addr().String() }}
	go func() { result <- c.Serve(ctx, server, "tcp:0:interface=127.0.0.1:maxperpeer=2") }()
	select {
	case addr = <-place:
	case err := <-result:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-result; err != nil {
			t.Error(err)
		}
	})
	return addr, dir, ca, authority
}

// mails is the contents of the directory.
func mails(t *testing.T, dir string) (all []string) {
	t.Helper()
	names, _ := filepath.Glob(filepath.Join(dir, "*.eml"))
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(b))
	}
	slices.Sort(all)
	return all
}

const want = "Return-Path: <a@x>\r\nDelivered-To: b@x\r\n"

// The client of package net/smtp, with STARTTLS. A third connection of its address is reset.
func TestClient(t *testing.T) {
	addr, dir, _, authority := start(t)
	c, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	second, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if third, err := smtp.Dial(addr); err == nil {
		third.Close()
		t.Error("a third connection was served")
	}
	if err := c.StartTLS(&tls.Config{ServerName: "localhost", RootCAs: authority.Pool()}); err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("a@x"); err != nil {
		t.Fatal(err)
	}
	if err := c.Rcpt("b@x"); err != nil {
		t.Fatal(err)
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(".a\r\n..\r\n"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Quit(); err != nil {
		t.Error(err)
	}
	if got := mails(t, dir); !slices.Equal(got, []string{want + ".a\r\n..\r\n"}) {
		t.Errorf("got %q", got)
	}
}

func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip(err)
	}
	addr, dir, ca, _ := start(t)
	file := tlstest.WriteFile(t, dir, "message", []byte("Subject: x\r\n\r\n.\r\nend\r\n"))
	_, port, _ := net.SplitHostPort(addr)
	for _, more := range [][]string{nil, {"--ssl-reqd", "--cacert", ca}} {
		args := append([]string{"-sS", "--noproxy", "*", "--max-time", "30", "smtp://localhost:" + port + "/c",
			"--mail-from", "a@x", "--mail-rcpt", "b@x", "-T", file}, more...)
		if out, err := exec.Command(curl, args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	m := want + "Subject: x\r\n\r\n.\r\nend\r\n"
	if got := mails(t, dir); !slices.Equal(got, []string{m, m}) {
		t.Errorf("got %q", got)
	}
}

// The command in the comment of main.go sends an ordinary file, whose lines end with LF.
func TestCommentCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip(err)
	}
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, command, _ := strings.Cut(string(source), "`curl ")
	command, _, _ = strings.Cut(command, "`")
	addr, dir, _, _ := start(t)
	file := tlstest.WriteFile(t, dir, "message", []byte("Subject: x\n\n.\nend\n"))
	_, port, _ := net.SplitHostPort(addr)
	args := strings.Fields(strings.NewReplacer("2525", port, "FILE", file).Replace(command))
	if out, err := exec.Command(curl, append([]string{"-sS", "--noproxy", "*", "--max-time", "30"}, args...)...).CombinedOutput(); err != nil {
		t.Errorf("curl %s: %v: %s", command, err, out)
	}
	if got := mails(t, dir); !slices.Equal(got, []string{want + "Subject: x\r\n\r\n.\r\nend\r\n"}) {
		t.Errorf("got %q", got)
	}
}

// Swaks sends mail to two recipients, by one command at a time, in a pipeline, and with STARTTLS.
func TestSwaks(t *testing.T) {
	swaks, err := exec.LookPath("swaks")
	if err != nil {
		t.Skip(err)
	}
	if out, err := exec.Command("perl", "-MNet::SSLeay", "-e1").CombinedOutput(); err != nil {
		t.Skipf("swaks has no TLS: %s", out)
	}
	addr, dir, ca, _ := start(t)
	file := tlstest.WriteFile(t, dir, "message", []byte("Subject: x\n\n.\nend\n"))
	for _, more := range [][]string{nil, {"--pipeline"}, {"--tls", "--tls-ca-path", ca, "--tls-verify"}} {
		args := append([]string{"--server", addr, "--from", "a@x", "--to", "b@x,c@x", "--data", "@" + file, "--timeout", "30"}, more...)
		if out, err := exec.Command(swaks, args...).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	m := want + "Delivered-To: c@x\r\nSubject: x\r\n\r\n.\r\nend\r\n\r\n"
	if got := mails(t, dir); !slices.Equal(got, []string{m, m, m}) {
		t.Errorf("got %q", got)
	}
}

func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip(err)
	}
	addr, _, ca, _ := start(t)
	cmd := exec.Command(openssl, "s_client", "-connect", addr, "-starttls", "smtp", "-CAfile", ca,
		"-verify_hostname", "localhost", "-verify_return_error", "-quiet", "-ign_eof", "-crlf")
	cmd.Stdin = strings.NewReader("NOOP\nQUIT\n")
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "221 2.0.0 bye") {
		t.Errorf("%v: %s", err, out)
	}
}
