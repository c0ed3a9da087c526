package kernel

import (
	"fmt"
	"net/netip"
	"strconv"
)

// Packets is a Kernel with datagram sockets, of UDP and of UNIX.
type Packets interface {
	// ListenPacket opens a datagram socket and binds it to a, a UDP or UNIXDatagram address. A
	// UDP port of zero means one that the system chooses. An IPv6 socket is for IPv6 alone. A
	// UNIXDatagram address without a name binds nothing: the socket can send, and nobody can send
	// to it. The file of a UNIX name has the mode of o.UNIX, must not exist, and is removed by Close if
	// it is still ours (UNIXD-1, UNIXD-4).
	ListenPacket(a Addr, o *PacketOptions) (PacketConn, error)
}

// PacketConn is one non-blocking datagram socket. It can be armed as a Conn can: it is Readable when
// a datagram, or the refusal of one, can be read, and Writable when one can be sent. An unconnected UNIX
// socket is always Writable, and a send may yet be ErrAgain, because the full queue is the receiver's.
//
// A method that would have to wait returns [ErrAgain], bare. Other errors are a [*SysError], or an
// [*AddrError] of an address. A wrapper of a PacketConn has Unwrap() PacketConn.
type PacketConn interface {
	Handle

	// ReadPackets returns datagrams that have come, in the order in which they came: at least one, or
	// an error. It reads a bounded number; [ErrAgain] tells that there is no more. The slice and all that
	// is in it belong to the kernel, and are valid until the next ReadPackets of any socket of the
	// kernel. An error other than ErrAgain is one of the socket, not of a datagram.
	ReadPackets() ([]Packet, error)

	// WritePackets sends the datagrams of p in their order and returns how many it has sent. If
	// that is less than len(p), the error is about p[n]: ErrAgain, ErrMessageSize (it is too long),
	// ErrPermission (a broadcast address without Broadcast), ErrNoRoute, fs.ErrNotExist or ErrRefused (there is
	// no such UNIX name, or nobody has it any more; a refusal that the network reports later is read by ReadPackets
	// instead) ... The datagrams behind it have not been tried. p and the data in it are not kept. It has no trains, unless the
	// PacketConn is a [Trains].
	WritePackets(p []Packet) (int, error)

	// Connect fixes the peer. The socket then receives from that peer alone, sends to it, and the Peer of what
	// is written must be the zero Addr. Nothing is sent (UDP-25). A second Connect replaces the first.
	// What came before from others may still be read.
	Connect(a Addr) error

	// Remote is the peer that Connect has fixed, or the zero Addr.
	Remote() Addr
}

// Packet is one datagram.
type Packet struct {
	// Data is all of it, and may be empty: that is a datagram too, and no end (UDP-11).
	Data []byte
	// Peer is the sender, or where to send it. It is zero for a UNIX sender without a name, and to send
	// on a connected socket.
	Peer Addr
	// Local is the address of ours to which it came, without a port. It is known if the socket is bound to an
	// unspecified address, such as 0.0.0.0, and the system tells; otherwise invalid. When sending, a
	// valid Local is the address that it comes from; the zero value leaves it to the system.
	Local netip.Addr
	// Truncated tells that it was longer than the kernel's buffer of 64 KiB, so Data is only its
	// beginning. UDP has none so long; UNIX may (UDP-12). It is ignored when sending.
	Truncated bool
	// Segment, if it is greater than zero and less than len(Data), makes the Packet a train: Data is several datagrams of
	// Segment bytes one behind the other, of which the last may be shorter. All else is the same for each. Only [Trains] have trains.
	Segment int
	// Err is nil for a datagram that has come. Otherwise ReadPackets tells of one that was sent, to Peer, and
	// could not be delivered: a [*SysError] that is ErrRefused or ErrNoRoute. Data is its beginning, as much of it
	// as the system returns, and may be empty. Only a connected socket hears of that. It is ignored when sending.
	Err error
}

// Trains is a PacketConn whose system receives and sends many datagrams at once as a train, see [Packet]. A wrapper that has its own
// ReadPackets or WritePackets, and Unwrap, has its own ReadTrains too.
type Trains interface {
	// ReadTrains is ReadPackets, and what the system has put together stays together. So does what a simulation puts together.
	ReadTrains() ([]Packet, error)
	// WritePackets is that of PacketConn, and p may have trains. Each leaves whole, or not at all: if the error is about one, it is
	// ErrAgain, ErrTrain, or what is wrong with its first datagram.
	WritePackets(p []Packet) (int, error)
}

// Train tells whether p is a train.
func (p *Packet) Train() bool { return p.Segment > 0 && p.Segment < len(p.Data) }

// Datagrams is how many datagrams p is: 1, unless it is a train.
func (p *Packet) Datagrams() int {
	if !p.Train() {
		return 1
	}
	return (len(p.Data) + p.Segment - 1) / p.Segment
}

// AppendDatagrams appends the datagrams of p to all, each as a Packet of its own. They have the memory of p.
func (p *Packet) AppendDatagrams(all []Packet) []Packet {
	if !p.Train() {
		return append(all, *p)
	}
	one := *p
	one.Segment = 0
	for data := p.Data; len(data) > 0; {
		n := min(p.Segment, len(data))
		one.Data, data = data[:n:n], data[n:]
		all = append(all, one)
	}
	return all
}

// PacketOptions are the options of ListenPacket. Nil and the zero value are the defaults. A kernel
// neither keeps nor changes the struct. [CheckPacket] says which values are refused.
type PacketOptions struct {
	// Broadcast allows sending to a broadcast address (UDP-24).
	Broadcast bool `ep:"broadcast" help:"allow sending to a broadcast address"`
	// Shared lets several sockets have one address, if all of them say so, and each receives what is
	// sent to a multicast group that it has joined (MC-1). What is sent to the address alone goes to
	// one of them.
	Shared bool `ep:"shared" help:"let several sockets have the port, each with its multicast groups"`
	// ReusePort lets several sockets have one address, if all of them say so. The system shares the
	// senders out among them.
	ReusePort bool `ep:"reuseport" help:"share the port with other sockets that say so; the system shares out the senders"`
	// SendBuffer and RecvBuffer are the sizes of the socket's buffers in bytes. Zero: the system's
	// for sending, and 4 MiB for receiving, which the system may cut. At most 1 GiB.
	SendBuffer int `ep:"sndbuf" help:"bytes that the system buffers for sending; without it, the system decides"`
	RecvBuffer int `ep:"rcvbuf" help:"bytes that the system buffers of what comes; without it, 4 MiB"`
	// UNIX has the options of a UNIXDatagram address. For others it must be the zero value.
	UNIX UNIXOptions
	// Control is that of [StreamOptions], for this socket.
	Control func(fd uintptr) error
}

// DefaultPacketBuffer is the RecvBuffer of PacketOptions that has none.
const DefaultPacketBuffer = 4 << 20

// MaxDatagram is the most bytes that a UDP datagram can carry, over IPv4; over IPv6 it is 20 more.
const MaxDatagram = 65507

// PacketSettings is a PacketConn whose options can be changed while it is open. A setter takes effect at once.
// A getter asks the system. After Close both fail with ErrClosed. What is refused is an [*OptionError].
type PacketSettings interface {
	// SetBroadcast sets Broadcast (UDP-24).
	SetBroadcast(on bool) error
	Broadcast() (bool, error)
	// SetSendBuffer and SetRecvBuffer are those of [TCPConn].
	SetSendBuffer(size int) error
	SendBuffer() (int, error)
	SetRecvBuffer(size int) error
	RecvBuffer() (int, error)
	// Lost is how many datagrams the system has dropped because the socket's buffer was full, as
	// far as it tells; 0 if it does not. Of an adopted socket it is how many since the adoption. Linux counts
	// datagrams that it has joined on the way as one.
	Lost() uint64
}

// Multicast is a PacketConn of UDP that can receive from groups and send to them, over IPv4 or IPv6. A
// setting that is refused is an [*OptionError]; after Close the error is ErrClosed.
type Multicast interface {
	// JoinGroup has what is sent to the group delivered to this socket too. The error is a [*GroupError].
	// It is ErrInvalidAddr for an address that is no group, or of the other family; ErrJoined; ErrNoInterface;
	// ErrNoResources if the system allows no more. A group that somebody else has joined with an adopted socket, such as the
	// predecessor of a hand-over, is no ErrJoined the first time: the socket receives from it, as it was asked to.
	JoinGroup(g Group) error
	// LeaveGroup is the reverse of JoinGroup, with the same Group. It is ErrNotJoined for another.
	LeaveGroup(g Group) error
	// SetMulticastTTL sets how many routers a datagram to a group may pass, plus one: 0 keeps it
	// on this host, 1, the default, in this network (MC-2). At most 255.
	SetMulticastTTL(n int) error
	MulticastTTL() (int, error)
	// SetMulticastLoopback tells whether what we send to a group comes back to sockets of this
	// host that have joined. On by default (MC-3).
	SetMulticastLoopback(on bool) error
	MulticastLoopback() (bool, error)
	// SetMulticastInterface chooses the interface that datagrams to groups leave by, as in
	// Group.Interface. "", the default, leaves it to the routes (MC-4). MulticastInterface returns what was set.
	SetMulticastInterface(name string) error
	MulticastInterface() (string, error)
}

// Group says which datagrams a socket is to receive besides those to its own address.
type Group struct {
	// IP is the group's address, such as 224.0.0.251 or ff02::fb.
	IP netip.Addr
	// Interface is where to join: the name of an interface, such as "eth0", its number, or one of its
	// addresses. "": the scope of IP, as in ff02::fb%eth0; if it has none, the system chooses by its routes.
	Interface string
	// Source, if valid, is the only sender from which the socket is to receive (source-specific
	// multicast).
	Source netip.Addr
}

// String is "224.0.0.251", "224.0.0.251 on eth0", or "10.0.0.1 in 232.0.0.1 on eth0".
func (g Group) String() string {
	s := g.IP.String()
	if g.Source.IsValid() {
		s = g.Source.String() + " in " + s
	}
	if g.Interface != "" {
		s += " on " + g.Interface
	}
	return s
}

var (
	// ErrMessageSize: the datagram is longer than the network takes (UDP-21).
	ErrMessageSize = Sentinel("message too long")
	// ErrTrain: the system does not send that train at once. Its datagrams may be sent as Packets of their own.
	ErrTrain = Sentinel("not sent as one train")
	// ErrJoined: the socket has joined that group already.
	ErrJoined = Sentinel("group already joined")
	// ErrNotJoined: the socket has not joined that group.
	ErrNotJoined = Sentinel("group not joined")
	// ErrNoInterface: there is no such network interface (any more).
	ErrNoInterface = Sentinel("no such network interface")
)

// The operations of a [GroupError].
const (
	OpJoin  = "join"
	OpLeave = "leave"
)

// GroupError says why a group was not joined, or not left (MC-6). errors.Is finds Err in it.
type GroupError struct {
	// Op is OpJoin or OpLeave.
	Op string
	// Group is the argument.
	Group Group
	// Err is the cause: a sentinel of this package, or a [*SysError].
	Err error
}

// Error is "join 224.0.0.251 on eth7: no such network interface".
func (e *GroupError) Error() string { return e.Op + " " + e.Group.String() + ": " + e.Err.Error() }

// Unwrap is Err.
func (e *GroupError) Unwrap() error { return e.Err }

// UDPAddr is the UDP address of ip and port.
func UDPAddr(ip netip.Addr, port uint16) Addr {
	return Addr{Net: UDP, IP: netip.AddrPortFrom(ip, port)}
}

// UNIXDatagramAddr is the address of a UNIX datagram socket. name is that of [UNIXAddr].
func UNIXDatagramAddr(name string) Addr {
	a := UNIXAddr(name)
	a.Net = UNIXDatagram
	return a
}

// PacketAs finds T in c, through its wrappers.
func PacketAs[T any](c PacketConn) (T, bool) { return Walk[T](c) }

// CheckPacketAddr is [CheckAddr] for datagrams. Op is [OpListen], [OpConnect] or [OpWrite].
func CheckPacketAddr(op string, a Addr) error {
	bad := func(kind error, reason string) error {
		return &AddrError{Op: op, Addr: a, Reason: reason, Kind: kind}
	}
	switch {
	case a.IsZero():
		return bad(ErrInvalidAddr, "it is the zero Addr")
	case a.Net == UNIXDatagram:
		if a.Name == "" && op == OpListen {
			return nil
		}
		return checkUNIX(op, a)
	case a.Net != UDP:
		return bad(ErrUnsupported, "network "+strconv.Quote(a.Net.String())+" has no datagrams")
	case !a.IP.Addr().IsValid() && a.Name == "":
		return bad(ErrInvalidAddr, "it has neither an IP nor a name")
	case !a.IP.Addr().IsValid():
		return bad(ErrInvalidAddr, "it is a name, not resolved yet")
	case op != OpListen && a.Port() == 0:
		return bad(ErrInvalidAddr, "it has no port")
	case a.IP.Addr().Is6() && a.IP.Addr().IsLinkLocalUnicast() && a.IP.Addr().Zone() == "":
		return bad(ErrInvalidAddr, "a link-local address needs its interface, such as %eth0")
	}
	return nil
}

// CheckPacketPeer returns why a socket that is bound to local cannot send to peer, or be connected to it, as an
// [*AddrError], or nil: what CheckPacketAddr says, or another network or family (UDP-20).
func CheckPacketPeer(op string, local, peer Addr) error {
	if PlainPeer(&local, &peer) {
		return nil
	}
	return checkPacketPeer(op, local, peer)
}

// PlainPeer tells whether a socket that is bound to local can send to peer because both are IPv4 addresses of UDP and peer has a
// port: what CheckPacketPeer finds out at once, since each datagram asks.
func PlainPeer(local, peer *Addr) bool {
	return local.Net == UDP && peer.Net == UDP && local.IP.Addr().Is4() && peer.IP.Addr().Is4() && peer.Port() != 0
}

func checkPacketPeer(op string, local, peer Addr) error {
	if err := CheckPacketAddr(op, peer); err != nil {
		return err
	}
	if peer.Net == local.Net && (peer.Net != UDP || peer.IP.Addr().Is4() == local.IP.Addr().Is4()) {
		return nil
	}
	return &AddrError{Op: op, Addr: peer, Kind: ErrInvalidAddr,
		Reason: fmt.Sprintf("its network is not that of the socket, %s %s", local.Network(), local)}
}

// CheckPacket returns why o cannot be used for a datagram socket at a, as an [*OptionError], or nil. Every
// kernel calls it.
func CheckPacket(a Addr, o *PacketOptions) error {
	if err := within(OpListen, "SendBuffer", o.SendBuffer, maxBuffer); err != nil {
		return err
	}
	if err := within(OpListen, "RecvBuffer", o.RecvBuffer, maxBuffer); err != nil {
		return err
	}
	if a.Net != UNIXDatagram {
		if o.UNIX != (UNIXOptions{}) {
			return invalid(OpListen, "UNIX", o.UNIX, "it is for UNIX addresses")
		}
		return nil
	}
	const reason = "a UNIX address has no port"
	switch {
	case o.ReusePort:
		return invalid(OpListen, "ReusePort", true, reason)
	case o.Shared:
		return invalid(OpListen, "Shared", true, reason)
	case o.Broadcast:
		return invalid(OpListen, "Broadcast", true, "a UNIX address has no broadcast")
	}
	return checkFile(a, &o.UNIX)
}

// CheckAdoptPacket returns why o cannot be used to adopt a datagram socket, as an [*OptionError], or nil.
// Every kernel that adopts calls it, and CheckPacket when it knows the socket's address.
func CheckAdoptPacket(o *PacketOptions) error {
	const reason = "the socket is bound already"
	switch {
	case o.ReusePort:
		return invalid(OpListen, "ReusePort", true, reason)
	case o.Shared:
		return invalid(OpListen, "Shared", true, reason)
	case o.UNIX != (UNIXOptions{}):
		return invalid(OpListen, "UNIX", o.UNIX, reason)
	}
	return CheckPacket(Addr{Net: UDP}, o)
}

// CheckMulticastTTL returns why n is no TTL for SetMulticastTTL, as an [*OptionError], or nil. Every kernel
// calls it.
func CheckMulticastTTL(n int) error { return within(OpOption, "MulticastTTL", n, 255) }

// CheckGroup returns why a socket bound to local cannot join or leave g, as a [*GroupError], or nil. It
// does not look at the interface.
func CheckGroup(op string, local Addr, g Group) error {
	is4 := local.IP.Addr().Is4()
	var why error
	switch {
	case !g.IP.IsMulticast():
		why = errNoGroup
	case g.IP.Is4() != is4 && is4:
		why = errGroup6
	case g.IP.Is4() != is4:
		why = errGroup4
	case g.Source.IsValid() && (g.Source.Is4() != is4 || g.Source.IsMulticast() || g.Source.IsUnspecified()):
		why = errNoSource
	default:
		return nil
	}
	return &GroupError{Op: op, Group: g, Err: why}
}

// Why a Group cannot be.
var (
	errNoGroup  = Sentinel("that is not the address of a group, such as 224.0.0.251 or ff02::fb", ErrInvalidAddr)
	errGroup4   = Sentinel("the group is of IPv4, and the socket of IPv6", ErrInvalidAddr)
	errGroup6   = Sentinel("the group is of IPv6, and the socket of IPv4", ErrInvalidAddr)
	errNoSource = Sentinel("the source is not the address of a host, of the family of the group", ErrInvalidAddr)
)
