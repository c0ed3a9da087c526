package sim

import (
	"fmt"
	"strings"
	"time"
)

// Options are the conditions of a network: what its links and sockets are like, and which
// faults happen. The zero Options is the perfect network: no latency and no faults. A
// network has them in [Net.Options], [Swarm] draws them, and [Net.Apply] puts them to work.
//
// Each field is a class, which text, [Options.Classes] and [Options.Without] name in lower
// case; a class is off where the field is zero or negative. Two fields are one class:
// SendBuffer and RecvBuffer, which is "buffers".
//
// Fields from Clog to Drift take effect in Net.Apply. A rate is the mean number of faults
// per second of simulated time while none of the class is in force: a class has one fault
// at a time. Its victims and how long it lasts are drawn.
type Options struct {
	// Chunk is the most bytes that one read or write moves; how many of them is drawn each
	// time. Zero: no limit.
	Chunk int
	// Latency is how long a segment travels between two hosts; it is drawn for each
	// segment. Within a host a segment takes no time, unless SetLatency says otherwise.
	//
	// In text a uniform latency is "1ms-40ms". Another is its kind, least, most and mean:
	// "longtail:1ms-2s:20ms", where 0s for the most is no limit.
	Latency Latency
	// Bandwidth is how many bytes per second each direction of each link between two hosts
	// carries. Segments of all connections leave one after the other; each takes 40 bytes
	// besides its data, a datagram 28. Its latency begins when it has left. Zero: no limit.
	Bandwidth int
	// SendBuffer and RecvBuffer are the sizes of a socket's buffers in bytes. Zero: 128 KiB.
	// Calm leaves them as they are. In text "300" is both and "300/200" is each.
	SendBuffer, RecvBuffer int
	// Backlog is the most connections that may wait to be accepted. Zero: 4096. At a UNIX
	// listener one more may wait, as on Linux.
	Backlog int
	// Descriptors is how many sockets a host may have open. Zero: no limit.
	Descriptors int
	// RetryTimeout is how long something is sent again before the connection, or the
	// attempt to connect, ends with kernel.ErrTimeout. Zero: two minutes; kernel.Forever: it
	// never does. Its class is "retry", which Swarm does not draw.
	RetryTimeout time.Duration
	// Spurious is the probability, from 0 to 1, that a Wait also reports an armed socket
	// that is not ready.
	Spurious float64
	// Drop is the probability, from 0 to 1, that a segment between two hosts is lost at the
	// first try. It is sent again 200 ms later, and arrives unless a [Rule] drops it. A datagram is
	// lost for good.
	Drop float64
	// Duplicate is the probability, from 0 to 1, that a datagram between two hosts arrives twice.
	Duplicate float64
	// Reorder is the probability, from 0 to 1, that a datagram between two hosts travels for up to 200 ms
	// longer, so that later ones overtake it. With a Latency that varies they do so anyway.
	Reorder float64
	// Corrupt is the probability, from 0 to 1, that a bit of a datagram between two hosts is
	// changed, and no checksum finds it. Swarm does not draw it.
	Corrupt float64
	// PacketBuffer is the size in bytes of the receive buffer of a UDP socket, if its PacketOptions
	// do not say it; each datagram takes 768 besides its data. It holds one datagram however small it
	// is, and what it has no room for is dropped. Zero: kernel.DefaultPacketBuffer.
	PacketBuffer int
	// Clog is the rate at which a link is clogged, both ways, for up to ten seconds.
	Clog float64
	// Partition is the rate at which the hosts fall into two sides that do not hear each
	// other, for up to half a minute.
	Partition float64
	// OneWay is Partition where one side still hears the other.
	OneWay float64
	// Swizzle is the rate at which several links are clogged one after the other, in a
	// random order, and are freed in another order.
	Swizzle float64
	// Hold is the rate at which a link is held, for up to half a minute.
	Hold float64
	// Crash is the rate at which one host or several crash; they restart up to twenty
	// seconds later. One host always stays up.
	Crash float64
	// Kill is the rate at which a host's program is killed.
	Kill float64
	// KillChild is the rate at which a child is killed by SIGKILL, in a network with programs for children. See Net.Program.
	KillChild float64
	// Stop is the rate at which a host's program is stopped in order and started again. See
	// Host.GracefulRestart.
	Stop float64
	// Rolling is the rate at which all hosts' programs are so restarted one after another, in
	// an order that is drawn: each when the one before has started again, up to five seconds
	// later.
	Rolling float64
	// Pause is the rate at which a host's program is paused, for up to ten seconds.
	Pause float64
	// Skew is how far a host's clock is ahead at most.
	Skew time.Duration
	// Jump is the rate at which a host's clock jumps, forward or back, by up to half a
	// minute. See Host.JumpClock.
	Jump float64
	// Drift is how much faster or slower a host's clock runs at most: 0.01 is one percent.
	Drift float64
	// Resolve is the probability that a look-up of a name takes up to five seconds more;
	// half of those fail.
	Resolve float64
	// Spawn is the probability, from 0 to 1, that the start of a child fails: there are too many processes, or, one time in
	// four, the program is not there.
	Spawn float64
	// Work is how long blocking work takes: what a program gives to reactor.InThread,
	// look-ups by the system, handshakes of TLS. It is drawn for each. Zero: from 10 us to
	// 1 ms. In text it is as Latency.
	Work Latency
	// Slow is how long a callback takes at most. Half of the hosts are slow; one callback in
	// four of those takes time, which is drawn. The host's program is not turned meanwhile,
	// and what it writes in that turn leaves when the callbacks before it are over. Its
	// reactor sees the time pass from the next turn on.
	Slow time.Duration
	// Sites is how many rare branches are forced, see [Site]. Each is enabled in a run with
	// probability Sites/4, and then taken one time in four. 1 is a good mix, 4 is all of
	// them. A correct program works as ever.
	Sites float64
	// Rare is how many rare branches of programs are forced, those of Reactor.Rare. Each
	// name is enabled in a run with probability Rare/4, and then taken one time in four, as
	// with Sites.
	Rare float64
	// Resets is the probability, from 0 to 1, that a read, a write or an accept finds the
	// connection reset.
	Resets float64
	// Length is how long the phase with faults of a World lasts, in place of World.Length.
	// Swarm does not draw it. [World.Minimise] shortens it.
	Length time.Duration
}

// Swarm draws Options from seed. Each class but "retry", "corrupt" and "length" is on with probability 1/2; its
// value is drawn too. Each class has a random stream of its own, so that what others draw
// does not change it.
func Swarm(seed uint64) Options {
	var o Options
	for _, c := range classes {
		r := stream(seed, "swarm "+c.name)
		if c.draw != nil && r.next()&1 == 0 {
			c.draw(&o, &r)
		}
	}
	return o
}

// ParseOptions reads the text of [Options.String]: classes with values, in any order, as in
// "chunk=3,latency=1ms-40ms,partition=0.2". "" and "none" are the zero Options. An error
// names the class, the value and what is expected.
func ParseOptions(s string) (Options, error) {
	var o Options
	s = strings.TrimSpace(s)
	if s == "" || s == "none" {
		return o, nil
	}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		c := classOf(name)
		switch {
		case c == nil:
			return Options{}, fmt.Errorf("sim: faults %q: there is no class %q (value %q): expected one of %s",
				s, name, value, strings.Join(ClassNames(), ", "))
		case seen[name]:
			return Options{}, fmt.Errorf("sim: faults %q: class %q comes twice, again with value %q: expected each class once", s, name, value)
		case !c.set(&o, value):
			return Options{}, fmt.Errorf("sim: faults %q: class %q has value %q: expected %s, as in %s=%s",
				s, name, value, c.want, name, c.example)
		}
		seen[name] = true
	}
	return o, nil
}

// String is text that ParseOptions reads: classes in the order of the fields, or "none" if
// all are off.
func (o Options) String() string {
	var parts []string
	for _, c := range classes {
		if v := c.get(&o); v != "" {
			parts = append(parts, c.name+"="+v)
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ",")
}

// Classes are the names of the classes that are on, in the order of the fields.
func (o Options) Classes() []string {
	var names []string
	for _, c := range classes {
		if c.get(&o) != "" {
			names = append(names, c.name)
		}
	}
	return names
}

// Without is o with one class off. A name that is no class changes nothing.
func (o Options) Without(class string) Options {
	if c := classOf(class); c != nil {
		c.off(&o)
	}
	return o
}

// over is o laid over base: the classes that are on in o, and base's for the rest.
func (o Options) over(base Options) Options {
	for _, c := range classes {
		if c.get(&o) != "" {
			c.take(&base, &o)
		}
	}
	return base
}

// ClassNames are the names of all fault classes, in the order of the fields: all classes
// that Swarm draws.
func ClassNames() []string {
	var names []string
	for _, c := range classes {
		if c.draw != nil {
			names = append(names, c.name)
		}
	}
	return names
}
