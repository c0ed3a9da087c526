package sim

import "time"

// pair draws two hosts; b is nil if there is only one.
func (x *nemesis) pair(r *random) (a, b *Host) {
	hosts := x.n.everyHost()
	i, j := r.below(len(hosts)), r.below(max(len(hosts)-1, 1))
	if len(hosts) < 2 {
		return hosts[0], nil
	}
	if j >= i {
		j++
	}
	return hosts[i], hosts[j]
}

// some draws about half of the hosts: at least one, and not all unless there is only one.
func (x *nemesis) some(r *random) (in, out []*Host) {
	hosts := x.n.everyHost()
	odd := r.below(len(hosts))
	for _, h := range hosts {
		if r.next()&1 == 0 {
			in = append(in, h)
		} else {
			out = append(out, h)
		}
	}
	switch {
	case len(in) == 0:
		return out[odd : odd+1], append(out[:odd:odd], out[odd+1:]...)
	case len(out) == 0:
		return in[odd : odd+1], append(in[:odd:odd], in[odd+1:]...)
	}
	return in, out
}

func (x *nemesis) clog(r *random) fault {
	a, b := x.pair(r)
	last := span(r, 10*time.Millisecond, 10*time.Second)
	return fault{last, func() (end func()) {
		if b != nil {
			x.n.Clog(a.name, b.name, last)
		}
		return nil
	}}
}

func (x *nemesis) hold(r *random) fault {
	a, b := x.pair(r)
	return fault{span(r, 50*time.Millisecond, 30*time.Second), func() (end func()) {
		if b == nil {
			return nil
		}
		return x.n.Hold(a.name, b.name)
	}}
}

func (x *nemesis) partition(r *random) fault { return x.split(r, x.n.Partition) }
func (x *nemesis) oneWay(r *random) fault    { return x.split(r, x.n.PartitionOneWay) }

// split cuts the links between two sides.
func (x *nemesis) split(r *random, cut func(a, b string) (heal func())) fault {
	in, out := x.some(r)
	return fault{span(r, 50*time.Millisecond, 30*time.Second), func() (end func()) {
		var heals []func()
		for _, a := range in {
			for _, b := range out {
				heals = append(heals, cut(a.name, b.name))
			}
		}
		return func() {
			for _, heal := range heals {
				heal()
			}
		}
	}}
}

// swizzled is the largest number of links that one swizzle clogs.
const swizzled = 12

// swizzle clogs links one after the other, and frees them in another order.
func (x *nemesis) swizzle(r *random) fault {
	type clogging struct {
		a, b     *Host
		from, to time.Duration
	}
	var list []clogging
	var at time.Duration
	for range 2 + r.below(swizzled-1) {
		a, b := x.pair(r)
		at += span(r, 10*time.Millisecond, 500*time.Millisecond)
		list = append(list, clogging{a: a, b: b, from: at})
	}
	for left := len(list); left > 0; left-- { // draw which of those left is freed next
		at += span(r, 10*time.Millisecond, 500*time.Millisecond)
		for i, k := 0, r.below(left); ; i++ {
			if list[i].to > 0 {
				continue
			}
			if k == 0 {
				list[i].to = at
				break
			}
			k--
		}
	}
	return fault{at, func() (end func()) {
		for _, c := range list {
			if c.b != nil {
				x.after(c.from, func() { x.n.Clog(c.a.name, c.b.name, c.to-c.from) })
			}
		}
		return nil
	}}
}

// crash takes one host, in one case of four several, but never the last that is up.
func (x *nemesis) crash(r *random) fault {
	victims, _ := x.some(r)
	one, several := r.below(len(x.n.everyHost())), r.next()&3 == 0
	if !several {
		victims = x.n.everyHost()[one : one+1]
	}
	return fault{span(r, 10*time.Millisecond, 20*time.Second), func() (end func()) {
		up := 0
		for _, h := range x.n.everyHost() {
			if h.Up() {
				up++
			}
		}
		victims = x.take(x.programs(victims))
		if over := len(victims) - (up - 1); over > 0 {
			x.release(victims[len(victims)-over:])
			victims = victims[:len(victims)-over]
		}
		for _, h := range victims {
			h.Crash()
		}
		return func() {
			x.release(victims)
			for _, h := range victims {
				if !h.Up() {
					h.Restart()
				}
			}
		}
	}}
}

func (x *nemesis) kill(r *random) fault {
	hosts := x.n.everyHost()
	h := hosts[r.below(len(hosts))]
	return fault{0, func() (end func()) {
		taken := x.take(x.programs([]*Host{h}))
		for _, h := range taken {
			h.Kill()
		}
		x.release(taken)
		return nil
	}}
}

func (x *nemesis) pause(r *random) fault {
	hosts := x.n.everyHost()
	h := hosts[r.below(len(hosts))]
	return fault{span(r, 10*time.Millisecond, 10*time.Second), func() (end func()) {
		taken := x.take([]*Host{h})
		for _, h := range taken {
			h.Pause()
		}
		return func() {
			x.release(taken)
			for _, h := range taken {
				h.Resume()
			}
		}
	}}
}

func (x *nemesis) stop(r *random) fault {
	hosts := x.n.everyHost()
	h := hosts[r.below(len(hosts))]
	return fault{0, func() (end func()) {
		x.restart(h, func() {})
		return nil
	}}
}

// restart has h's program stop in order and start again, if it is up and not busy. Then it
// calls then.
func (x *nemesis) restart(h *Host, then func()) {
	taken := x.take(x.programs([]*Host{h}))
	over := func() {
		x.release(taken)
		if x.n.nemesis == x {
			then()
		}
	}
	if taken == nil || !h.gracefulRestart(over) {
		over()
	}
}

// rolling restarts all hosts, one after another.
func (x *nemesis) rolling(r *random) fault {
	hosts := x.n.everyHost()
	gaps := make([]time.Duration, len(hosts))
	var lasts time.Duration
	for i := range hosts {
		j := i + r.below(len(hosts)-i)
		hosts[i], hosts[j] = hosts[j], hosts[i]
		gaps[i] = span(r, 10*time.Millisecond, 5*time.Second)
		lasts += gaps[i]
	}
	return fault{lasts, func() (end func()) {
		if x.rolls {
			return nil // a program takes long to stop
		}
		x.rolls = true
		var next func(i int)
		next = func(i int) {
			if x.rolls = i < len(hosts); x.rolls {
				x.restart(hosts[i], func() { x.after(gaps[i], func() { next(i + 1) }) })
			}
		}
		next(0)
		return nil
	}}
}

func (x *nemesis) jump(r *random) fault {
	hosts := x.n.everyHost()
	h := hosts[r.below(len(hosts))]
	d := span(r, time.Millisecond, 30*time.Second)
	if r.next()&1 == 0 {
		d = -d
	}
	return fault{0, func() (end func()) {
		h.JumpClock(d)
		x.clocked = append(x.clocked, h)
		return nil
	}}
}

// programs are those of hosts that have a program, and can come back.
func (x *nemesis) programs(hosts []*Host) (list []*Host) {
	x.n.mu.Lock()
	defer x.n.mu.Unlock()
	for _, h := range hosts {
		if h.program != nil {
			list = append(list, h)
		}
	}
	return list
}
