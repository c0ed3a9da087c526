package kerneltest

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/whorl-go/whorl/kernel"
)

func unixgramPromises() []promise {
	return []promise{
		{"UNIXDatagrams", unixDatagrams},
		{"UNIXDatagramNames", unixDatagramNames},
		{"UNIXDatagramFile", unixDatagramFile},
		{"UNIXDatagramAbstract", unixDatagramAbstract},
		{"UNIXDatagramLock", unixDatagramLock},
		{"UNIXDatagramConnected", unixDatagramConnected},
		{"UNIXDatagramRefused", unixDatagramRefused},
		{"UNIXDatagramPeerGone", unixDatagramPeerGone},
		{"UNIXDatagramParted", unixDatagramParted},
		{"UNIXDatagramFull", unixDatagramFull},
		{"UNIXDatagramSizes", unixDatagramSizes},
		{"UNIXDatagramPeers", unixDatagramPeers},
		{"UNIXDatagramSettings", unixDatagramSettings},
	}
}

// datagramName is name, for datagrams.
func (g *rig) datagramName() kernel.Addr {
	a := g.name()
	a.Net = kernel.UNIXDatagram
	return a
}

// unnamed is a UNIX socket without a name.
func (g *rig) unnamed() kernel.PacketConn {
	g.Helper()
	return g.bind(kernel.UNIXDatagramAddr(""), nil)
}

// unixDatagrams: datagrams arrive one by one and in their order, empty ones too (UDP-11), with the sender's name, or
// without one if it has none (UNIXD-3).
func unixDatagrams(g *rig) {
	d, c, none := g.bind(g.datagramName(), nil), g.bind(g.datagramName(), nil), g.unnamed()
	if none.Local() != kernel.UNIXDatagramAddr("") || !d.Remote().IsZero() {
		g.Errorf("without a name: %v; not connected: %v", none.Local(), d.Remote())
	}
	g.put(c, to(d.Local(), "with a name"))
	g.gets(d, "with a name", c.Local()) // UNIXD-3
	g.put(none, to(d.Local(), "without"))
	g.gets(d, "without", kernel.Addr{}) // UNIXD-3
	g.put(d, to(c.Local(), "answer"))
	g.gets(c, "answer", d.Local())
	var batch []kernel.Packet
	for i := range 9 {
		batch = append(batch, to(d.Local(), strings.Repeat("x", i%4)))
	}
	for range 3 {
		g.put(c, batch...)
		for i, p := range g.take(d, len(batch)) {
			if len(p.Data) != i%4 || p.Peer != c.Local() {
				g.Errorf("datagram %d is %q of %v", i, p.Data, p.Peer)
			}
		}
	}
	g.nothing(d)
}

// unixDatagramNames: a name has one socket, of either kind (UNIXD-1). Close removes its file, and the name is free
// (UNIXD-4). The socket's address is the name (UNIXD-2).
func unixDatagramNames(g *rig) {
	at := g.datagramName()
	for range 2 {
		d := g.bind(at, nil)
		if d.Local() != at {
			g.Errorf("UNIXD-2: Local is %v", d.Local())
		}
		_, err := g.packets().ListenPacket(at, nil)
		g.isSys("UNIXD-1: a second socket", err, kernel.OpBind, kernel.ErrAddrInUse)
		_, err = g.k.Listen(kernel.UNIXAddr(at.Name), nil)
		g.isSys("UNIXD-1: a listener", err, kernel.OpBind, kernel.ErrAddrInUse)
		if err := d.Close(); err != nil {
			g.Fatal(err)
		}
		g.gone(d)
		if d.Local() != at {
			g.Errorf("closed: Local is %v", d.Local())
		}
		if left, _ := filepath.Glob(at.Name + "*"); len(left) > 0 {
			g.Errorf("UNIXD-4: %q is left", left)
		}
	}
}

// unixDatagramFile: where names are files, the mode is exact (UNIXD-1), and Close removes the file only if it is still
// ours (UNIXD-4).
func unixDatagramFile(g *rig) {
	for _, mode := range []fs.FileMode{0, 0o600, 0o777, 0o222} {
		at := g.datagramName()
		d := g.bind(at, &kernel.PacketOptions{UNIX: kernel.UNIXOptions{Mode: mode}})
		info, err := os.Lstat(at.Name)
		if err == nil && (info.Mode()&fs.ModeSocket == 0 || info.Mode().Perm() != cmp.Or(mode, 0o666)) {
			g.Errorf("UNIXD-1: asked for %v, the file is %v", mode, info.Mode())
		}
		os.Remove(at.Name)
		if err := os.WriteFile(at.Name, []byte("somebody else's"), 0o600); err != nil {
			g.Fatal(err)
		}
		if err := d.Close(); err != nil {
			g.Errorf("UNIXD-4: Close: %v", err)
		}
		g.gone(d)
		if text, err := os.ReadFile(at.Name); string(text) != "somebody else's" {
			g.Errorf("UNIXD-4: another file at our path was removed: %v", err)
		}
	}
}

// unixDatagramAbstract: an abstract name has no file (UNIXD-1).
func unixDatagramAbstract(g *rig) {
	at := kernel.UNIXDatagramAddr("@" + g.dir())
	d, err := g.packets().ListenPacket(at, nil)
	if errors.Is(err, kernel.ErrUnsupported) && runtime.GOOS != "linux" {
		return
	}
	if err != nil {
		g.Fatal(err)
	}
	keep(g, d)
	if _, err := os.Lstat(at.Name); err == nil {
		g.Errorf("UNIXD-1: there is a file %s", at.Name)
	}
	c := g.bind(kernel.UNIXDatagramAddr(at.Name+"-client"), nil)
	for range 2 {
		g.put(c, to(at, "hello"))
		g.gets(d, "hello", c.Local())
	}
	g.put(c, to(kernel.Addr{Net: kernel.UNIXDatagram, Name: "\x00" + at.Name[1:]}, "by its zero byte"))
	g.gets(d, "by its zero byte", c.Local())
	d.Close()
	g.gone(d)
	_, err = c.WritePackets([]kernel.Packet{to(at, "x")})
	g.isSys("to a closed socket", err, kernel.OpWrite, kernel.ErrRefused)
	g.bind(at, nil) // UNIXD-4
}

// unixDatagramLock: with a lock file, a name is one socket's as long as its program lives (UNIX-8, UNIX-9).
func unixDatagramLock(g *rig) {
	at, locked := g.datagramName(), &kernel.PacketOptions{UNIX: kernel.UNIXOptions{Lock: true}}
	for range 2 {
		d := g.bind(at, locked)
		_, err := g.packets().ListenPacket(at, locked)
		g.isAddr("UNIX-9: ListenPacket", err, kernel.OpListen, at, kernel.ErrLocked)
		_, err = g.packets().ListenPacket(at, nil)
		g.isOne("UNIXD-1: without a lock", err, kernel.ErrAddrInUse)
		c := g.unnamed()
		g.put(c, to(at, "x"))
		g.gets(d, "x", kernel.Addr{})
		d.Close()
		g.gone(d)
		c.Close()
	}
	g.bind(at, nil)
	_, err := g.packets().ListenPacket(at, locked)
	g.isOne("UNIXD-1: a path in use", err, kernel.ErrAddrInUse)
}

// unixDatagramConnected: a connected socket sends and receives without addresses (UNIXD-6). An answer reaches it only
// if it has a name (UNIXD-8). A second Connect takes the place of the first.
func unixDatagramConnected(g *rig) {
	d, e, c := g.bind(g.datagramName(), nil), g.bind(g.datagramName(), nil), g.bind(g.datagramName(), nil)
	for _, peer := range []kernel.PacketConn{d, e, d} {
		if err := c.Connect(peer.Local()); err != nil {
			g.Fatal(err)
		}
		if c.Remote() != peer.Local() {
			g.Errorf("UNIXD-6: Remote is %v", c.Remote())
		}
		g.put(c, to(kernel.Addr{}, "question"))
		g.gets(peer, "question", c.Local())
		g.put(peer, to(c.Local(), "answer"))
		g.gets(c, "answer", peer.Local()) // UNIXD-8
		_, err := c.WritePackets([]kernel.Packet{to(peer.Local(), "x")})
		g.isAddr("an address", err, kernel.OpWrite, peer.Local(), kernel.ErrInvalidAddr)
	}
	_, err := e.WritePackets([]kernel.Packet{to(c.Local(), "of a stranger")})
	if err == nil {
		g.nothing(c)
	} else {
		g.isSys("of a stranger", err, kernel.OpWrite, kernel.ErrPermission)
	}
	none := g.unnamed()
	if err := none.Connect(d.Local()); err != nil {
		g.Fatal(err)
	}
	g.put(none, to(kernel.Addr{}, "no name"))
	g.gets(d, "no name", kernel.Addr{}) // UNIXD-8
}

// unixDatagramRefused: a send to a name that nobody has is refused at once, and of a path it says too that it does not
// exist. Those before it are sent, and those behind it are not tried.
func unixDatagramRefused(g *rig) {
	c, d := g.bind(g.datagramName(), nil), g.bind(g.datagramName(), nil)
	gone := g.bind(g.datagramName(), nil)
	gone.Close()
	g.gone(gone)
	kinds := map[kernel.Addr]error{gone.Local(): fs.ErrNotExist, g.datagramName(): fs.ErrNotExist}
	if runtime.GOOS == "linux" {
		kinds[kernel.UNIXDatagramAddr("@"+g.dir())] = kernel.ErrRefused
	}
	for at, kind := range kinds {
		n, err := c.WritePackets([]kernel.Packet{to(d.Local(), "before"), to(at, "x"), to(d.Local(), "behind")})
		if n != 1 {
			g.Errorf("%d were sent", n)
		}
		g.isOne("nobody has that name", err, kind)
		g.isSys("nobody has that name", err, kernel.OpWrite, kernel.ErrRefused)
		g.gets(d, "before", c.Local())
		g.nothing(d)
		err = c.Connect(at)
		g.isOne("UNIXD-7: Connect", err, kind)
		g.isSys("UNIXD-7: Connect", err, kernel.OpConnect, kernel.ErrRefused)
		if !c.Remote().IsZero() {
			g.Errorf("UNIXD-7: refused, and Remote is %v", c.Remote())
		}
		g.nothing(c)
	}
	g.put(c, to(d.Local(), "still"))
	g.gets(d, "still", c.Local())
}

// unixDatagramPeerGone: when the peer of a connected socket is gone, each write is refused, and the socket stays
// (UNIXD-7).
func unixDatagramPeerGone(g *rig) {
	for range 2 {
		at := g.datagramName()
		c, d := g.unnamed(), g.bind(at, nil)
		if err := c.Connect(at); err != nil {
			g.Fatal(err)
		}
		g.put(c, to(kernel.Addr{}, "x"))
		d.Close()
		g.gone(d)
		for range 3 {
			n, err := c.WritePackets([]kernel.Packet{to(kernel.Addr{}, "x"), to(kernel.Addr{}, "y")})
			if n != 0 {
				g.Errorf("UNIXD-7: %d were sent to nobody", n)
			}
			g.isSys("UNIXD-7: the peer is gone", err, kernel.OpWrite, kernel.ErrRefused)
		}
		d = g.bind(at, nil)
		if err := c.Connect(at); err != nil {
			g.Fatal(err)
		}
		g.put(c, to(kernel.Addr{}, "again"))
		g.gets(d, "again", kernel.Addr{})
	}
}

// unixDatagramParted: on Linux a connected socket drops what it has not read when a write finds its peer gone, or when
// it is connected to another. After such a write it takes datagrams of anybody.
func unixDatagramParted(g *rig) {
	if runtime.GOOS != "linux" {
		return
	}
	here, at := g.datagramName(), g.datagramName()
	c, d, other := g.bind(here, nil), g.bind(at, nil), g.unnamed()
	for _, part := range []func(){
		func() {
			next := g.datagramName()
			g.bind(next, nil)
			if err := c.Connect(next); err != nil {
				g.Fatal(err)
			}
		},
		func() {
			d.Close()
			g.gone(d)
			_, err := c.WritePackets([]kernel.Packet{to(kernel.Addr{}, "x")})
			g.isSys("UNIXD-7: the peer is gone", err, kernel.OpWrite, kernel.ErrRefused)
		},
	} {
		if err := c.Connect(at); err != nil {
			g.Fatal(err)
		}
		g.put(d, to(here, "unread"))
		part()
		g.nothing(c)
	}
	g.put(other, to(here, "of a stranger"))
	g.gets(c, "of a stranger", kernel.Addr{})
}

// unixDatagramFull: a receiver that is full takes nothing, which is ErrAgain and no loss. When it has read, it takes more.
func unixDatagramFull(g *rig) {
	for _, connected := range []bool{false, true} {
		d, c := g.bind(g.datagramName(), nil), g.unnamed()
		peer := d.Local()
		if connected {
			if err := c.Connect(peer); err != nil {
				g.Fatal(err)
			}
			peer = kernel.Addr{}
		}
		sent, got := 0, 0
		for range 3 {
			for err := error(nil); err == nil; {
				n := 0
				n, err = c.WritePackets([]kernel.Packet{to(peer, fmt.Sprint(sent)), to(peer, fmt.Sprint(sent+1)), to(peer, fmt.Sprint(sent+2))})
				sent += n
				if err != nil && err != kernel.ErrAgain {
					g.Fatal(err)
				}
				if sent > 1<<20 {
					g.Fatal("nobody reads, and it takes everything")
				}
			}
			switch {
			case connected && runtime.GOOS == "linux":
				g.quiet(c, kernel.Writable)
			case !connected:
				g.becomes(c, kernel.Writable)
			}
			for got < sent {
				for _, p := range g.some(d) {
					if string(p.Data) != fmt.Sprint(got) {
						g.Fatalf("datagram %d is %q", got, p.Data)
					}
					got++
				}
			}
			g.becomes(c, kernel.Writable)
		}
		g.nothing(d)
		if sent < 3 {
			g.Errorf("%d were sent", sent)
		}
	}
}

// unixDatagramSizes: a datagram that is longer than 64 KiB is cut, and says so (UDP-12). One that is too long for the
// system is refused as such (UNIXD-5).
func unixDatagramSizes(g *rig) {
	d, c := g.bind(g.datagramName(), nil), g.bind(g.datagramName(), nil)
	for _, size := range []int{0, 1, 2000, 64 << 10, 64<<10 + 1, 100_000} {
		n, err := c.WritePackets([]kernel.Packet{to(d.Local(), strings.Repeat("x", size))})
		if size > 2000 && runtime.GOOS != "linux" && errors.Is(err, kernel.ErrMessageSize) {
			continue
		}
		if n != 1 || err != nil {
			g.Fatalf("%d bytes: %d, %v", size, n, err)
		}
		p := g.take(d, 1)[0]
		if len(p.Data) != min(size, 64<<10) || p.Truncated != (size > 64<<10) || p.Peer != c.Local() {
			g.Errorf("UDP-12: %d bytes: %d came, cut: %v, from %v", size, len(p.Data), p.Truncated, p.Peer)
		}
	}
	n, err := c.WritePackets([]kernel.Packet{to(d.Local(), "before"), {Data: make([]byte, 64<<20), Peer: d.Local()}})
	if n != 1 {
		g.Errorf("UNIXD-5: %d were sent", n)
	}
	g.isSys("UNIXD-5: too long", err, kernel.OpWrite, kernel.ErrMessageSize)
	g.gets(d, "before", c.Local())
}

// unixDatagramPeers: a datagram goes only to a UNIX name.
func unixDatagramPeers(g *rig) {
	c, d := g.unnamed(), g.bind(g.datagramName(), nil)
	for a, kind := range map[kernel.Addr]error{
		{}:                                    kernel.ErrInvalidAddr,
		kernel.UNIXDatagramAddr(""):           kernel.ErrInvalidAddr,
		kernel.UNIXDatagramAddr("@"):          kernel.ErrInvalidAddr,
		kernel.UNIXDatagramAddr("a\x00b"):     kernel.ErrInvalidAddr,
		kernel.UNIXDatagramAddr(longestPlus1): kernel.ErrInvalidAddr,
		kernel.UDPAddr(local4(), 7):           kernel.ErrInvalidAddr,
		kernel.UNIXAddr(d.Local().Name):       kernel.ErrUnsupported,
	} {
		_, err := c.WritePackets([]kernel.Packet{to(a, "x")})
		g.isAddr("WritePackets", err, kernel.OpWrite, a, kind)
		g.isAddr("Connect", c.Connect(a), kernel.OpConnect, a, kind)
	}
	// A listener's name has no datagrams.
	l := g.listenOn(g.name(), nil)
	a := l.Local()
	a.Net = kernel.UNIXDatagram
	if n, err := c.WritePackets([]kernel.Packet{to(a, "x")}); n != 0 || err == nil {
		g.Errorf("a listener has taken a datagram: %d, %v", n, err)
	}
}

// unixDatagramSettings: a UNIX socket has no broadcast, and loses nothing.
func unixDatagramSettings(g *rig) {
	s := g.settings(g.bind(g.datagramName(), &kernel.PacketOptions{SendBuffer: 10_000}))
	if n, err := s.SendBuffer(); err != nil || n < 10_000 || n > 20_000 {
		g.Errorf("SendBuffer is %d, %v", n, err)
	}
	err := s.SetBroadcast(true)
	if e, ok := errors.AsType[*kernel.OptionError](err); !ok || e.Option != "Broadcast" {
		g.Errorf("SetBroadcast: %v", err)
	}
	if on, err := s.Broadcast(); on || err != nil {
		g.Errorf("Broadcast: %v, %v", on, err)
	}
	if n := s.Lost(); n != 0 {
		g.Errorf("%d are lost", n)
	}
}
