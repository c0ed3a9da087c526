package netconn_test

import (
	"math"
	"testing"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/testworld"
)

// NETCONN-8: a Backlog without end is as good as another.
func TestBacklogWithoutEnd(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := running(t, w)
			for _, most := range []int{1 << 40, math.MaxInt} {
				p := listen(t, r, overTCP, netconn.ListenConfig{Backlog: most})
				c, err := p.d.Dial("tcp", p.l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				s, err := p.l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				_ = s.Close()
			}
		})
	}
}
