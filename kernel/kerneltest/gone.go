package kerneltest

import (
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/whorl-go/whorl/kernel"
)

// fillBelow makes fd the number that the system gives out next when fd is closed.
func (g *rig) fillBelow(fd uintptr) {
	g.Helper()
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			g.Fatal(err)
		}
		if f.Fd() > fd {
			f.Close()
			return
		}
		g.Cleanup(func() { f.Close() })
	}
}

// takers get the number of a descriptor that was closed, in each way in which a kernel gets
// one. Each is called while the number is still another's. It calls lose, gets the number,
// and returns a function that checks that what it got works.
func (g *rig) takers(l kernel.Listener) map[string]func(lose func()) (works func()) {
	return map[string]func(func()) func(){
		"accept": func(lose func()) func() {
			c := g.dial(l, nil)
			g.becomes(c, kernel.Writable)
			g.becomes(l, kernel.Readable)
			lose()
			s := g.accept(l)
			return func() { g.talk(c, s); g.talk(s, c) }
		},
		"dial": func(lose func()) func() {
			lose()
			c := g.dial(l, nil)
			return func() { s := g.accept(l); g.talk(c, s); g.talk(s, c) }
		},
		"listen": func(lose func()) func() {
			lose()
			l := g.listen(local4(), nil)
			return func() { g.talk(g.connect(l, nil)) }
		},
		"watch": func(lose func()) func() {
			lose()
			r, w := g.pipe() // r has the number
			in := g.watch(r)
			return func() { g.talk(g.watch(w), in) }
		},
		"reserve": func(lose func()) func() {
			r, ok := kernel.As[kernel.Reserver](g.k)
			if !ok {
				g.Skip("no kernel.Reserver")
			}
			lose()
			if err := r.Reserve(); err != nil {
				g.Fatal(err)
			}
			return func() { r.Release() }
		},
	}
}

// talk checks that b reads what a writes.
func (g *rig) talk(a, b kernel.Conn) {
	g.Helper()
	g.send(a, []byte("hello"))
	if got := g.receive(b, 5); string(got) != "hello" {
		g.Errorf("read %q", got)
	}
}

// watchNumberGivenOut: the owner of a watched descriptor closes it without a word, and the
// kernel gets its number for something else. The old conn is gone at once, whatever it was
// armed for and whether there was a wait. It has no part in what its number is now (FDS-30).
func watchNumberGivenOut(g *rig) {
	g.watcher()
	l := g.listen(local4(), nil)
	takers := g.takers(l)
	for _, name := range slices.Sorted(maps.Keys(takers)) {
		for _, armed := range []kernel.Ready{0, kernel.Readable, kernel.Writable, kernel.Readable | kernel.Writable} {
			for _, waited := range []bool{false, true} {
				g.numberGivenOut(fmt.Sprintf("%s, armed %v, waited %v", name, armed, waited), armed, waited, takers[name])
			}
		}
	}
}

func (g *rig) numberGivenOut(what string, armed kernel.Ready, waited bool, take func(func()) func()) {
	g.Helper()
	r, w := g.pipe()
	owned := r
	if armed&kernel.Writable != 0 {
		owned = w
	}
	old := g.watch(owned)
	tok := g.arm(old, armed)
	if waited {
		g.wait(g.k.Now() + 1)
	}
	x, ok := kernel.ConnAs[kernel.Watched](old)
	if !ok || x.Gone() || x.Changed() {
		g.Fatalf("%s: gone or changed before its number is closed", what)
	}
	works := take(func() {
		g.fillBelow(owned.Fd())
		owned.Close()
	})
	if !x.Gone() || !x.Changed() {
		g.Fatalf("%s: the old conn is not gone", what)
	}
	p := []byte("x")
	_, err := old.Read(p)
	g.isOne(what+": Read of the old one", err, kernel.ErrBadDescriptor)
	_, err = old.Write(p)
	g.isOne(what+": Write of the old one", err, kernel.ErrBadDescriptor)
	if armed == 0 {
		g.isOne(what+": Arm of the old one", g.k.Arm(old, 1, kernel.Readable), kernel.ErrBadDescriptor)
	}
	for range 2 {
		found := armed == 0
		for _, e := range g.wait(0) {
			found = found || e.Token == tok && e.Ready == armed
		}
		if !found {
			g.Errorf("%s: the old one is not reported at once", what)
		}
	}
	works()
	if err := old.Close(); err != nil {
		g.Error(err)
	}
	g.gone(old)
	if x.Gone() || x.Changed() {
		g.Errorf("%s: gone after Close", what)
	}
	g.exactly(g.k.Now() + 1)
}
