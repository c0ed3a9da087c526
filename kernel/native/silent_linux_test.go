package native

import (
	"testing"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/kernel/kerneltest"
	"golang.org/x/sys/unix"
)

// TestSilentPeers: every kernel notices peers that are gone. A filter that drops everything
// makes a peer silent.
func TestSilentPeers(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits
			kerneltest.RunSilent(t, func(t *testing.T) (kernel.Kernel, func(kernel.Conn)) {
				return testKernel(t, name, Options{Loops: 100}), func(c kernel.Conn) {
					drop := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
					if err := unix.SetsockoptSockFprog(int(c.(*conn).fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop}); err != nil {
						t.Skip(err)
					}
				}
			})
		})
	}
}
