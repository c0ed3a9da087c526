//go:build !linux

package device

func createTunnel(string, TunnelConfig) (fd int, name string, err error) {
	return -1, "", ErrUnsupported
}
func persistTunnel(int, bool) error        { return ErrUnsupported }
func closeTunnel(int)                      {}
func readTunnel(int, []byte) (int, error)  { return 0, ErrUnsupported }
func writeTunnel(int, []byte) (int, error) { return 0, ErrUnsupported }
