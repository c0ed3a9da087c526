package device

import "golang.org/x/sys/unix"

// createTunnel opens the device and sets it up.
func createTunnel(kind string, c TunnelConfig) (fd int, name string, err error) {
	ifr, err := unix.NewIfreq(c.Name)
	if err != nil {
		return -1, "", sysError("tunsetiff", err)
	}
	fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, "", sysError("open /dev/net/tun", err)
	}
	flags := uint16(unix.IFF_NO_PI)
	if kind == "tun" {
		flags |= unix.IFF_TUN
	} else {
		flags |= unix.IFF_TAP
	}
	if c.MultiQueue {
		flags |= unix.IFF_MULTI_QUEUE
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		closeTunnel(fd)
		return -1, "", sysError("tunsetiff", err)
	}
	if err := setUpTunnel(fd, ifr.Name(), c); err != nil {
		closeTunnel(fd)
		return -1, "", err
	}
	return fd, ifr.Name(), nil
}

func setUpTunnel(fd int, name string, c TunnelConfig) error {
	if c.Owner != nil {
		if err := unix.IoctlSetInt(fd, unix.TUNSETOWNER, *c.Owner); err != nil {
			return sysError("tunsetowner", err)
		}
	}
	if c.Group != nil {
		if err := unix.IoctlSetInt(fd, unix.TUNSETGROUP, *c.Group); err != nil {
			return sysError("tunsetgroup", err)
		}
	}
	if c.MTU != 0 || c.Up {
		return setInterface(name, c)
	}
	return nil
}

// setInterface sets what a device has as any other interface does.
func setInterface(name string, c TunnelConfig) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return sysError("socket", err)
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return sysError("mtu", err)
	}
	if c.MTU != 0 {
		ifr.SetUint32(uint32(c.MTU))
		if err := unix.IoctlIfreq(s, unix.SIOCSIFMTU, ifr); err != nil {
			return badSetting("MTU", c.MTU, sysError("mtu", err))
		}
	}
	if !c.Up {
		return nil
	}
	ifr.SetUint16(0)
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, ifr); err != nil {
		return sysError("flags", err)
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	return sysError("up", unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr))
}

func persistTunnel(fd int, on bool) error {
	return sysError("tunsetpersist", unix.IoctlSetInt(fd, unix.TUNSETPERSIST, b2i(on)))
}

func b2i(on bool) int {
	if on {
		return 1
	}
	return 0
}

func closeTunnel(fd int) { _ = unix.Close(fd) }

func readTunnel(fd int, p []byte) (int, error) { return unix.Read(fd, p) }

func writeTunnel(fd int, p []byte) (int, error) { return unix.Write(fd, p) }
