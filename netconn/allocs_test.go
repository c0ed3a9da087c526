//go:build !race

package netconn_test

import (
	"io"
	"testing"

	"github.com/whorl-go/whorl/netconn"
	"github.com/whorl-go/whorl/testworld"
)

// A message there and back costs no memory, on either side and on the loop.
func TestAllocs(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			client, server := listen(t, running(t, w), overTCP, netconn.ListenConfig{}).connect(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				buf := make([]byte, 64<<10)
				for {
					n, err := server.Read(buf)
					if err != nil {
						return
					}
					_, _ = server.Write(buf[:n])
				}
			}()
			for _, size := range []int{64, 32 << 10} { // copied, and lent
				p, got := make([]byte, size), make([]byte, size)
				n := testing.AllocsPerRun(200, func() {
					if _, err := client.Write(p); err != nil {
						t.Fatal(err)
					}
					if _, err := io.ReadFull(client, got); err != nil {
						t.Fatal(err)
					}
				})
				if n != 0 {
					t.Errorf("%v allocations for %d bytes", n, size)
				}
			}
			_ = client.Close()
			<-done
		})
	}
}
