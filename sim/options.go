package sim

import (
	"fmt"
	"strings"
	"time"
)

// Options is a mix of faults, one class a field. A field's zero value is off, and the
// zero Options is the perfect network. [Swarm] draws one, [Net.Apply] puts it to work.
//
// Rates are in faults per second of simulated time, in the mean, while none of the class is
// in force: a class has one fault at a time. Whom it strikes, and for how long, is drawn.
type Options struct {
	// Chunk is Net.MaxChunk, in bytes.
	Chunk int
	// Latency is Net.Latency. In text it is "1ms-40ms" if it is uniform, else its kind, least,
	// most and mean: "longtail:1ms-2s:20ms", where 0s for the most is no limit.
	Latency Latency
	// Bandwidth is Net.Bandwidth, in bytes per second.
	Bandwidth int
	// Buffers is Net.SendBuffer and Net.RecvBuffer, in bytes. Calm leaves it as it is.
	Buffers int
	// Backlog is Net.Backlog.
	Backlog int
	// Descriptors is Net.MaxDescriptors.
	Descriptors int
	// Spurious is Net.Spurious, a probability.
	Spurious float64
	// Drop is Net.Lossy, the probability that a segment is lost once.
	Drop float64
	// Clog is the rate at which a link is clogged, both ways, for up to ten seconds.
	Clog float64
	// Partition is the rate at which the hosts fall into two sides that do not hear each
	// other, for up to half a minute.
	Partition float64
	// OneWay is Partition where one side still hears the other.
	OneWay float64
	// Swizzle is the rate at which several links are clogged, one after the other in a
	// random order, and come free in another.
	Swizzle float64
	// Hold is the rate at which a link is held, for up to half a minute.
	Hold float64
	// Crash is the rate at which a host crashes, or several do, and restart up to twenty
	// seconds later. One host stays up, whatever happens.
	Crash float64
	// Kill is the rate at which a host's program is killed.
	Kill float64
	// Pause is the rate at which a host's program stands still for up to ten seconds.
	Pause float64
	// Skew is how far hosts' clocks are ahead at most.
	Skew time.Duration
	// Drift is how much faster or slower hosts' clocks run at most: 0.01 is one percent.
	Drift float64
	// Resolve is the probability that the resolver takes up to five seconds more, or takes
	// them and fails.
	Resolve float64
	// Sites is Net.Sites, from 0 to 4: how many rare branches are forced inside the reactor.
	Sites float64
	// Resets is Net.Resets, the probability with which a read, a write or an accept finds
	// that the connection was reset.
	Resets float64
}

// Swarm draws a mix from seed: each class is on with probability 1/2, and how strong it
// is is drawn too. Each class has a random stream of its own, so that what others draw
// does not change it.
func Swarm(seed uint64) Options {
	var o Options
	for _, c := range classes {
		r := stream(seed, "swarm "+c.name)
		if r.next()&1 == 0 {
			c.draw(&o, &r)
		}
	}
	return o
}

// ParseOptions reads what String writes: classes with values, in any order, as in
// "chunk=3,latency=1ms-40ms,partition=0.2". "" and "none" are the zero Options. An
// error names the class, the value and what is expected.
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

// String is what ParseOptions reads, classes in the order of the fields; "none" for the
// zero Options.
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

// Classes are the names of those that are on, in the order of the fields.
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

// ClassNames are the names of all fault classes, in the order of the fields.
func ClassNames() []string {
	names := make([]string, len(classes))
	for i, c := range classes {
		names[i] = c.name
	}
	return names
}
