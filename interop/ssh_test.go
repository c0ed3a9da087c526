package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/whorl-go/whorl/internal/tlstest"
	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/crypto/ssh"
)

// user is the name of the user whose key the server knows.
const user = "whorl"

func signer(t testing.TB, name string) ssh.Signer {
	t.Helper()
	k, err := ssh.NewSignerFromKey(tlstest.KeyOf(name))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// shells is a server of golang.org/x/crypto/ssh, with a shell, a command and forwarded connections.
type shells struct {
	cfg  *ssh.ServerConfig
	dial func(context.Context, string) (net.Conn, error)
	l    net.Listener
	all  sync.WaitGroup
}

// serveSSH starts a server, which has ended when the test has.
func serveSSH(t *testing.T, s *site) *shells {
	t.Helper()
	known := signer(t, user).PublicKey().Marshal()
	x := &shells{dial: s.dialTCP, l: s.listen(netconn.ListenConfig{})}
	x.cfg = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(k.Marshal(), known) {
			return nil, fmt.Errorf("unknown key")
		}
		return nil, nil
	}}
	x.cfg.AddHostKey(signer(t, host))
	x.all.Go(func() {
		for {
			c, err := x.l.Accept()
			if err != nil {
				return
			}
			x.all.Go(func() { x.serve(t, c) })
		}
	})
	t.Cleanup(func() {
		_ = x.l.Close()
		x.all.Wait()
	})
	return x
}

// serve serves a connection.
func (x *shells) serve(t *testing.T, c net.Conn) {
	defer c.Close()
	_, channels, requests, err := ssh.NewServerConn(c, x.cfg)
	if err != nil {
		t.Error(err)
		return
	}
	x.all.Go(func() { ssh.DiscardRequests(requests) })
	for n := range channels {
		if kind := n.ChannelType(); kind != "session" && kind != "direct-tcpip" {
			_ = n.Reject(ssh.UnknownChannelType, kind)
			continue
		}
		ch, asked, err := n.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		if n.ChannelType() == "session" {
			x.all.Go(func() { serveSession(ch, asked) })
			continue
		}
		x.all.Go(func() { ssh.DiscardRequests(asked) })
		var to struct {
			Host string
			Port uint32
			From string
			At   uint32
		}
		if err := ssh.Unmarshal(n.ExtraData(), &to); err != nil {
			t.Error(err)
		}
		x.all.Go(func() { x.forward(t, ch, fmt.Sprintf("%s:%d", to.Host, to.Port)) })
	}
}

// serveSession serves a shell whose commands are words to repeat and exit, and the command cat.
func serveSession(ch ssh.Channel, asked <-chan *ssh.Request) {
	defer ch.Close()
	for q := range asked {
		_ = q.Reply(q.Type == "pty-req" || q.Type == "shell" || q.Type == "exec", nil)
		var result struct{ Status uint32 }
		switch q.Type {
		case "exec":
			_, _ = io.Copy(ch, ch)
		case "shell":
			for in := bufio.NewScanner(ch); in.Scan() && in.Text() != "exit"; {
				_, _ = fmt.Fprintf(ch, "%s\r\n", in.Text())
			}
			result.Status = 3
		default:
			continue
		}
		_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(&result))
		return
	}
}

// forward joins a channel and a connection to address.
func (x *shells) forward(t *testing.T, ch ssh.Channel, address string) {
	defer ch.Close()
	c, err := x.dial(context.Background(), address)
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	x.all.Go(func() {
		_, _ = io.Copy(c, ch)
		_ = c.(*netconn.Conn).CloseWrite()
	})
	_, _ = io.Copy(ch, c)
}

// client connects to the server.
func (x *shells) client(t *testing.T) *ssh.Client {
	t.Helper()
	address := x.l.Addr().String()
	c, err := x.dial(limited(t), address)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &ssh.ClientConfig{
		User:            user,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer(t, user))},
		HostKeyCallback: ssh.FixedHostKey(signer(t, host).PublicKey()),
	}
	sc, channels, requests, err := ssh.NewClientConn(c, address, cfg)
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(sc, channels, requests)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// NETCONN-14: a session of SSH is a dialogue with a shell on a terminal, and has its status.
func TestSSHShell(t *testing.T) {
	each(t, testworld.Worlds(), func(t *testing.T, s *site) {
		x, err := serveSSH(t, s).client(t).NewSession()
		if err != nil {
			t.Fatal(err)
		}
		in, _ := x.StdinPipe()
		out, _ := x.StdoutPipe()
		if err := x.RequestPty("xterm", 24, 80, nil); err != nil {
			t.Fatal(err)
		}
		if err := x.Shell(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for i := range 20 {
			want := fmt.Sprintf("line %d", i)
			_, _ = io.WriteString(in, want+"\n")
			if got, err := lines.ReadString('\n'); strings.TrimSpace(got) != want || err != nil {
				t.Fatalf("%q and %v came", got, err)
			}
		}
		_, _ = io.WriteString(in, "exit\n")
		if err, ok := x.Wait().(*ssh.ExitError); !ok || err.ExitStatus() != 3 {
			t.Errorf("the session ends with %v", err)
		}
	})
}

// NETCONN-14: a command of SSH gets and gives a megabyte at the same time.
func TestSSHBulk(t *testing.T) {
	each(t, testworld.Worlds(), func(t *testing.T, s *site) {
		x, err := serveSSH(t, s).client(t).NewSession()
		if err != nil {
			t.Fatal(err)
		}
		want := pattern(1 << 20)
		x.Stdin = bytes.NewReader(want)
		if got, err := x.Output("cat"); !bytes.Equal(got, want) || err != nil {
			t.Errorf("%d bytes of %d came back, and %v", len(got), len(want), err)
		}
	})
}

// listenEcho opens a Listener whose connections get back what they send.
func listenEcho(s *site) net.Listener {
	s.Helper()
	l := s.listen(netconn.ListenConfig{})
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	s.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l
}

// NETCONN-14: a connection that SSH forwards carries a megabyte in each direction, and both ends of it.
func TestSSHForward(t *testing.T) {
	each(t, testworld.Worlds(), func(t *testing.T, s *site) {
		echo := listenEcho(s)
		c, err := serveSSH(t, s).client(t).Dial("tcp", echo.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		want := pattern(1 << 20)
		go func() {
			_, _ = c.Write(want)
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}()
		if got, err := io.ReadAll(c); !bytes.Equal(got, want) || err != nil {
			t.Errorf("%d bytes of %d came back, and %v", len(got), len(want), err)
		}
	})
}
