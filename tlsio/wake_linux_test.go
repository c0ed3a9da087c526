package tlsio_test

import (
	"crypto/tls"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/testworld"
)

// writes is how often the process has called write, which a loop that sleeps is woken
// by; sockets are sent to by other calls.
func writes(t *testing.T) (n int) {
	t.Helper()
	counts, err := os.ReadFile("/proc/self/io")
	_, line, _ := strings.Cut(string(counts), "syscw: ")
	if _, bad := fmt.Sscan(line, &n); err != nil || bad != nil {
		t.Fatalf("%q: %v, %v", counts, err, bad)
	}
	return n
}

// With a single processor the loop is there when a step of a handshake is done. To wake
// it from a sleep, which it began with the processor in hand, costs as much as a third of
// a handshake.
func TestLoopAwaitsStep(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			conns := 50 // of four steps, two for each side
			limit := conns
			if raced { // with other tests beside it, some of forty steps come late
				conns, limit = 10, 20
			}
			s := realStage(t, w)
			before := writes(t)
			for range conns {
				srv, cli := new(end), new(end)
				cli.onShaken = func() { cli.c.Close() }
				s.secure(tls.VersionTLS13, srv, cli)
				s.until(func() bool { return srv.lost() && cli.lost() })
			}
			if n := writes(t) - before; n > limit {
				t.Errorf("the loop was woken %d times by the steps of %d handshakes", n, conns)
			}
		})
	}
}
