package netconn_test

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// NETCONN-14: Release at any moment of a goroutine that reads with long slices, by itself or by the loop, loses and doubles no byte: first come those that its Reads have
// returned, then unread, then what the next protocol receives.
func TestReleaseWhileReading(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			at := listen(t, running(t, w), overTCP, netconn.ListenConfig{})
			lent := 0
			for i := range 8 {
				if releaseWhileReading(t, at, i) {
					lent++
				}
			}
			if name == "epoll" && lent == 0 {
				t.Error("the reading was never lent")
			}
		})
	}
}

func releaseWhileReading(t *testing.T, at *place, round int) (lent bool) {
	client, server := at.connect(t)
	sent := make([]byte, 1<<20)
	for i := range sent {
		sent[i] = byte(i>>8) ^ byte(i)
	}
	released := make(chan struct{})
	go func() {
		_, _ = client.Write(sent)
		<-released // SwitchProtocol refuses a connection whose peer has ended
		_ = client.(closeWriter).CloseWrite()
	}()
	var got bytes.Buffer
	half, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		p := make([]byte, 16<<10)
		for reads := 0; ; reads++ {
			n, err := server.Read(p)
			got.Write(p[:n])
			if err != nil {
				ended <- err
				return
			}
			if reads == 5+round {
				close(half)
			}
		}
	}()
	<-half
	k := &taker{received: make(chan string, 10_000), lost: make(chan error, 1)}
	_, err := reactor.Ask(netconn.LoopOf(server), func() (struct{}, error) {
		lent = netconn.Lent(server)
		t, unread, err := netconn.Release(server)
		if err != nil {
			return struct{}{}, err
		}
		k.t, k.unread = t, string(unread)
		s, _ := reactor.As[reactor.Switcher](t)
		_, err = s.SwitchProtocol(k)
		return struct{}{}, err
	})
	close(released)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read after Release is %v", err)
	}
	got.WriteString(k.unread)
	for lost := false; !lost; {
		select {
		case p := <-k.received:
			got.WriteString(p)
		case err := <-k.lost:
			k.lost <- err
			lost = len(k.received) == 0
		case <-time.After(testworld.Limit):
			t.Fatalf("%d bytes of %d came", got.Len(), len(sent))
		}
	}
	if !bytes.Equal(got.Bytes(), sent) {
		t.Errorf("%d bytes of %d came, or others", got.Len(), len(sent))
	}
	return lent
}
