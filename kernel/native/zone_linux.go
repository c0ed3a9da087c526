package native

import "golang.org/x/sys/unix"

// interfaceName asks for the name of an interface by the socket fd. Package net would open a
// socket of its own and list all interfaces.
func interfaceName(fd int, index uint32) (string, bool) {
	r, err := unix.NewIfreq("")
	if err != nil || fd < 0 {
		return "", false
	}
	r.SetUint32(index)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFNAME, r); err != nil {
		return "", false
	}
	return r.Name(), true
}

// interfaceIndex is the reverse of interfaceName.
func interfaceIndex(fd int, name string) (uint32, bool) {
	r, err := unix.NewIfreq(name)
	if err != nil || fd < 0 {
		return 0, false
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r); err != nil {
		return 0, false
	}
	return r.Uint32(), true
}
