package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
)

// UDP-28: a train to a group leaves whole, or not at all, however many hosts hear it and however small the buffer is: what is refused is sent
// again, and must not come twice.
func TestTrainToGroup(t *testing.T) {
	x := packetNet(t, 1, "a", "b", "c", "d", "e")
	x.Options.Bandwidth = 1000
	g := udp("224.0.0.9", 5)
	src := x.open("a", x.Host("a").UDPAddr(9), &kernel.PacketOptions{SendBuffer: 4000})
	var hears []kernel.PacketConn
	for _, h := range []string{"b", "c", "d", "e"} {
		c := x.open(h, udp("0.0.0.0", 5), nil)
		x.join(c, group("224.0.0.9", "", ""))
		hears = append(hears, c)
	}
	text := strings.Repeat("a", 500) + strings.Repeat("b", 500) + strings.Repeat("c", 500)
	n, err := src.WritePackets([]kernel.Packet{{Data: []byte(text), Peer: g, Segment: 500}})
	want := 0
	if err == nil && n == 1 {
		want = 3
	} else if n != 0 || err != kernel.ErrAgain && err != kernel.ErrTrain {
		t.Fatal(n, err)
	}
	x.pass(time.Minute)
	if k := x.Packets(); k.Written != want || k.Sent != want*len(hears) || k.Read+k.Waiting != want*len(hears) {
		t.Errorf("UDP-28: the write of a train returned %d, %v, and %+v", n, err, k)
	}
}
