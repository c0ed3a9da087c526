package coro_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/whorl-go/whorl/coro"
	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// CORO-12: net/textproto talks SMTP on both ends, in every cut of the stream.
func TestTextproto(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World) {
		var mail []string
		srv, cli := talk(t, w.New(t, reactor.Config{}), func(s *coro.Session) error {
			c := textproto.NewConn(s)
			defer c.Close()
			c.PrintfLine("220 whorl.example ready")
			for {
				line, err := c.ReadLine()
				if err != nil {
					return err
				}
				switch verb, _, _ := strings.Cut(line, " "); verb {
				case "DATA":
					c.PrintfLine("354 go on")
					if mail, err = c.ReadDotLines(); err != nil {
						return err
					}
					c.PrintfLine("250 taken")
				case "QUIT":
					return c.PrintfLine("221 bye")
				default:
					c.PrintfLine("250-%s", verb)
					c.PrintfLine("250 OK")
				}
			}
		}, func(s *coro.Session) error {
			c := textproto.NewConn(s)
			defer c.Close()
			if _, _, err := c.ReadResponse(220); err != nil {
				return err
			}
			for _, cmd := range []string{"EHLO me", "MAIL FROM:<a@b>", "RCPT TO:<c@d>"} {
				if _, err := c.Cmd("%s", cmd); err != nil {
					return err
				}
				if _, msg, err := c.ReadResponse(250); err != nil || !strings.Contains(msg, "OK") {
					return fmt.Errorf("%s: %q, %w", cmd, msg, err)
				}
			}
			c.Cmd("DATA")
			if _, _, err := c.ReadResponse(354); err != nil {
				return err
			}
			d := c.DotWriter()
			fmt.Fprint(d, "Subject: hello\n\n.one dot\nlast")
			d.Close()
			if _, _, err := c.ReadResponse(250); err != nil {
				return err
			}
			c.Cmd("QUIT")
			_, _, err := c.ReadResponse(221)
			return err
		})
		if srv.err != nil || cli.err != nil || strings.Join(mail, "|") != "Subject: hello||.one dot|last" {
			t.Errorf("CORO-12: %v, %v, %q", srv.err, cli.err, mail)
		}
	})
}

// CORO-12: crypto/tls runs on both ends of a session as it is: handshake, data, an orderly end.
func TestTLS(t *testing.T) {
	ca := tlstest.NewAuthority("ca")
	_ = ca
	leaf := tlstest.SelfSigned("srv.test")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		sc := &tls.Config{Certificates: []tls.Certificate{leaf}, Time: tlstest.Time, MaxVersion: version}
		cc := &tls.Config{InsecureSkipVerify: true, ServerName: "srv.test", Time: tlstest.Time, MaxVersion: version}
		everywhere(t, func(t *testing.T, w testworld.World) {
			size := 200_000
			if w.Chunk() > 0 {
				size = 2000
			}
			all := pattern(size)
			var got []byte
			srv, cli := talk(t, w.New(t, reactor.Config{}), func(s *coro.Session) error {
				c := tls.Server(s, sc)
				defer c.Close()
				_, err := io.Copy(c, struct{ io.Reader }{c})
				return err
			}, func(s *coro.Session) error {
				c := tls.Client(s, cc)
				defer c.Close()
				for p := all; len(p) > 0; {
					n := min(1000, len(p))
					if _, err := c.Write(p[:n]); err != nil {
						return err
					}
					buf := make([]byte, n)
					if _, err := io.ReadFull(c, buf); err != nil {
						return err
					}
					got, p = append(got, buf...), p[n:]
				}
				if err := c.CloseWrite(); err != nil {
					return err
				}
				rest, err := io.ReadAll(c)
				got = append(got, rest...)
				return err
			})
			if srv.err != nil || cli.err != nil || !bytes.Equal(got, all) {
				t.Errorf("CORO-12: %v, %v, %d bytes of %d", srv.err, cli.err, len(got), size)
			}
		})
	}
}

// CORO-12: a failed handshake is an error of the library, and the connection is reset.
func TestTLSFails(t *testing.T) {
	worlds(t, func(t *testing.T, w testworld.World) {
		sc := &tls.Config{Certificates: []tls.Certificate{tlstest.SelfSigned("srv.test")}, Time: tlstest.Time}
		cc := &tls.Config{ServerName: "srv.test", Time: tlstest.Time, RootCAs: tlstest.NewAuthority("other").Pool()}
		srv, cli := talk(t, w.New(t, reactor.Config{}), func(s *coro.Session) error {
			return tls.Server(s, sc).Handshake()
		}, func(s *coro.Session) error {
			return tls.Client(s, cc).Handshake()
		})
		var bad *tls.CertificateVerificationError
		if srv.err == nil || !errors.As(cli.err, &bad) {
			t.Errorf("CORO-12: %v, %v", srv.err, cli.err)
		}
	})
}

// CORO-12: a WebSocket library does: upgrade, messages both ways, a closing handshake.
func TestWebSocket(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World) {
		var got []string
		srv, cli := talk(t, w.New(t, reactor.Config{}), func(s *coro.Session) error {
			if _, err := ws.Upgrade(s); err != nil {
				return err
			}
			for {
				msg, op, err := wsutil.ReadClientData(s)
				var closed wsutil.ClosedError
				if errors.As(err, &closed) {
					return nil
				}
				if err != nil {
					return err
				}
				if err := wsutil.WriteServerMessage(s, op, bytes.ToUpper(msg)); err != nil {
					return err
				}
			}
		}, func(s *coro.Session) error {
			dialer := ws.Dialer{}
			url := mustParse("ws://whorl.example/chat")
			br, _, err := dialer.Upgrade(s, url)
			if err != nil {
				return err
			}
			if br != nil {
				ws.PutReader(br)
			}
			for _, text := range []string{"hello", "world", strings.Repeat("x", 300)} {
				if err := wsutil.WriteClientText(s, []byte(text)); err != nil {
					return err
				}
				msg, err := wsutil.ReadServerText(s)
				if err != nil {
					return err
				}
				got = append(got, string(msg))
			}
			if err := ws.WriteFrame(s, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))); err != nil {
				return err
			}
			_, err = ws.ReadFrame(s)
			return err
		})
		if srv.err != nil || cli.err != nil || len(got) != 3 || got[0] != "HELLO" || got[2] != strings.Repeat("X", 300) {
			t.Errorf("CORO-12: %v, %v, %q", srv.err, cli.err, got)
		}
	})
}

// CORO-12: a bufio.Scanner reads lines that come slowly.
func TestScanner(t *testing.T) {
	everywhere(t, func(t *testing.T, w testworld.World) {
		var got []string
		srv, cli := talk(t, w.New(t, reactor.Config{}), func(s *coro.Session) error {
			sc := bufio.NewScanner(s)
			for sc.Scan() {
				got = append(got, sc.Text())
			}
			return sc.Err()
		}, func(s *coro.Session) error {
			for i := range 5 {
				fmt.Fprintf(s, "line %d\n", i)
				if err := s.Sleep(time.Millisecond); err != nil {
					return err
				}
			}
			return nil
		})
		if srv.err != nil || cli.err != nil || strings.Join(got, ",") != "line 0,line 1,line 2,line 3,line 4" {
			t.Errorf("CORO-12: %v, %v, %q", srv.err, cli.err, got)
		}
	})
}
