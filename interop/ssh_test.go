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
	testing.TB
	cfg  *ssh.ServerConfig
	dial func(context.Context, string) (net.Conn, error)
	addr net.Addr
}

// serveSSH starts a server, which has ended when the test has.
func serveSSH(t *testing.T, s *site) *shells {
	t.Helper()
	known := signer(t, user).PublicKey().Marshal()
	x := &shells{TB: t, dial: s.dialTCP}
	x.cfg = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(k.Marshal(), known) {
			return nil, fmt.Errorf("unknown key")
		}
		return nil, nil
	}}
	x.cfg.AddHostKey(signer(t, host))
	x.addr = s.accept(x.serve)
	return x
}

// serve serves a connection.
func (x *shells) serve(c net.Conn) {
	_, channels, requests, err := ssh.NewServerConn(c, x.cfg)
	if err != nil {
		x.Error(err)
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { ssh.DiscardRequests(requests) })
	for n := range channels {
		if kind := n.ChannelType(); kind != "session" && kind != "direct-tcpip" {
			_ = n.Reject(ssh.UnknownChannelType, kind)
			continue
		}
		ch, asked, err := n.Accept()
		if err != nil {
			x.Error(err)
			return
		}
		if n.ChannelType() == "session" {
			all.Go(func() { serveSession(ch, asked) })
			continue
		}
		all.Go(func() { ssh.DiscardRequests(asked) })
		all.Go(func() { x.forward(ch, n.ExtraData()) })
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

// forward joins a channel and a connection to where extra says.
func (x *shells) forward(ch ssh.Channel, extra []byte) {
	defer ch.Close()
	var to struct {
		Host string
		Port uint32
		From string
		At   uint32
	}
	if err := ssh.Unmarshal(extra, &to); err != nil {
		x.Error(err)
		return
	}
	c, err := x.dial(context.Background(), fmt.Sprintf("%s:%d", to.Host, to.Port))
	if err != nil {
		x.Error(err)
		return
	}
	defer c.Close()
	var up sync.WaitGroup
	defer up.Wait()
	up.Go(func() {
		_, _ = io.Copy(c, ch)
		_ = c.(*netconn.Conn).CloseWrite()
	})
	_, _ = io.Copy(ch, c)
	_ = ch.CloseWrite()
}

// client connects to the server.
func (x *shells) client(t *testing.T) *ssh.Client {
	t.Helper()
	address := x.addr.String()
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

// NETCONN-21: a session of SSH is a dialogue with a shell on a terminal, and has its status.
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

// NETCONN-21: a command of SSH gets and gives a megabyte at the same time.
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

// echo serves connections that get back what they send.
func echo(s *site) net.Addr {
	return s.accept(func(c net.Conn) { _, _ = io.Copy(c, c) })
}

// NETCONN-21: a connection that SSH forwards carries a megabyte in each direction, and both ends of it.
func TestSSHForward(t *testing.T) {
	each(t, testworld.Worlds(), func(t *testing.T, s *site) {
		a := echo(s)
		c, err := serveSSH(t, s).client(t).Dial("tcp", a.String())
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
