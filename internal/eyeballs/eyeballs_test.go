package eyeballs_test

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/internal/eyeballs"
)

const ms = time.Millisecond

// event is something that happens at a time: what happens at the same time happens in
// the order it was planned.
type event struct {
	at time.Duration
	do func()
}

// world is a Network and a Timer in virtual time, with a diary. Addresses that have no
// fate never answer.
type world struct {
	d      eyeballs.Dialer
	names  string // what the look-up finds, separated by blanks; "-": it fails; "": it never ends
	look   time.Duration
	fates  map[string]fate
	now    time.Duration
	events []event
	timer  int // counts what was set, so that what was set before is void
	ip     []netip.Addr
	limit  time.Duration // of all; negative: none; zero: 30 s
	diary  []string
	err    error
}

type fate struct {
	after time.Duration
	err   error
}

var errRefused, errUnknown = errors.New("refused"), errors.New("unknown host")

func (w *world) note(format string, a ...any) {
	w.diary = append(w.diary, fmt.Sprintf("%v ", w.now)+fmt.Sprintf(format, a...))
}

func (w *world) later(after time.Duration, do func()) {
	w.events = append(w.events, event{w.now + after, do})
}

func (w *world) Reset(after time.Duration) {
	w.timer++
	set := w.timer
	w.later(after, func() {
		if set == w.timer {
			w.d.Due()
		}
	})
}

func (w *world) Cancel() bool { w.timer++; return false }

func (w *world) LookUp(done func([]netip.Addr, error)) (cancel func()) {
	w.note("look up")
	switch w.names {
	case "":
	case "-":
		w.later(w.look, func() { done(nil, errUnknown) })
	default:
		w.later(w.look, func() { done(ips(w.names), nil) })
	}
	return func() { w.note("look up no more") }
}

func (w *world) Dial(i int, ip netip.Addr) {
	w.note("dial %v", ip)
	if i != len(w.ip) {
		w.note("but it is attempt %d", i)
	}
	w.ip = append(w.ip, ip)
	if f, ok := w.fates[ip.String()]; ok {
		w.later(f.after, func() {
			if f.err != nil {
				w.d.Failed(i)
			} else {
				w.note("%v: %v", ip, w.d.Succeeded(i))
			}
		})
	}
}

func (w *world) GiveUp(i int)          { w.note("give up %v", w.ip[i]) }
func (w *world) Unreachable(err error) { w.note("unreachable"); w.err = err }

func (w *world) Left() time.Duration {
	if w.limit < 0 {
		return -1
	}
	return w.limit - w.now
}

// run starts and lets everything happen.
func (w *world) run(known ...netip.Addr) {
	w.d.Network, w.d.Timer = w, w
	if w.limit == 0 {
		w.limit = 30 * time.Second
	}
	if w.limit > 0 {
		w.later(w.limit, w.d.Stop)
	}
	w.d.Start(known...)
	for len(w.events) > 0 {
		next := slices.MinFunc(w.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
		i := slices.IndexFunc(w.events, func(e event) bool { return e.at == next.at })
		e := w.events[i]
		w.events = slices.Delete(w.events, i, i+1)
		w.now = e.at
		e.do()
	}
}

func ips(text string) (all []netip.Addr) {
	for one := range strings.FieldsSeq(text) {
		all = append(all, netip.MustParseAddr(one))
	}
	return all
}

func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(w.diary, want) {
		t.Errorf("diary:\n  %s\nwant:\n  %s", strings.Join(w.diary, "\n  "), strings.Join(want, "\n  "))
	}
}

// HOST-4, HOST-5, HOST-7: the families take turns, attempts start one after the other
// or when one fails, the first connection wins and the others are given up.
func TestFirstConnectionWins(t *testing.T) {
	w := &world{names: "10.0.0.1 10.0.0.2 fd00::1 10.0.0.1 ::ffff:10.0.0.2", look: 5 * ms, fates: map[string]fate{
		"fd00::1": {10 * ms, errRefused}, "10.0.0.2": {50 * ms, nil}, "10.0.0.1": {400 * ms, nil},
	}}
	w.run()
	w.expect(t, "0s look up", "5ms dial 10.0.0.1", "305ms dial fd00::1",
		"315ms dial 10.0.0.2", "365ms give up 10.0.0.1", "365ms 10.0.0.2: true",
		"405ms 10.0.0.1: false") // it was about to connect: the caller closes it
}

// HOST-6: Unreachable comes when the last attempt has failed.
func TestAllFail(t *testing.T) {
	w := &world{names: "10.0.0.1 10.0.0.2", fates: map[string]fate{
		"10.0.0.1": {500 * ms, errRefused}, "10.0.0.2": {10 * ms, errRefused},
	}}
	w.run()
	w.expect(t, "0s look up", "0s dial 10.0.0.1", "300ms dial 10.0.0.2", "500ms unreachable")
	if w.err != nil {
		t.Errorf("unreachable: %v", w.err)
	}
}

// HOST-4: each address once, the families in turn, beginning with the first one's.
func TestOrder(t *testing.T) {
	for names, want := range map[string]string{
		"10.0.0.1 10.0.0.2 10.0.0.3 fd00::1 10.0.0.1 ::ffff:10.0.0.2 fd00::2 fd00::1": "10.0.0.1 fd00::1 10.0.0.2 fd00::2 10.0.0.3",
		"fd00::1 fd00::2 10.0.0.1": "fd00::1 10.0.0.1 fd00::2",
	} {
		w := &world{names: names}
		w.run()
		if !slices.Equal(w.ip, ips(want)) {
			t.Errorf("%s: tried %v; want %s", names, w.ip, want)
		}
	}
}

// HOST-4: 32 addresses are tried at most. The families take turns all the same, and copies do not
// count.
func TestManyAddresses(t *testing.T) {
	var four, six, copies []string
	for i := range 100 {
		four = append(four, fmt.Sprintf("10.0.0.%d", i))
		six = append(six, fmt.Sprintf("fd00::%x", i+1))
		copies = append(copies, "10.0.0.0")
	}
	turns := func(n int) (all []string) {
		for i := range n {
			all = append(all, four[i], six[i])
		}
		return all
	}
	for _, x := range []struct{ names, want []string }{
		{four, four[:32]},
		{slices.Concat(four, six), turns(16)},
		{slices.Concat(four, six[:3]), append(turns(3), four[3:29]...)},
		{slices.Concat(copies, four[:3]), four[:3]},
	} {
		w := &world{names: strings.Join(x.names, " ")}
		w.run()
		if want := ips(strings.Join(x.want, " ")); !slices.Equal(w.ip, want) {
			t.Errorf("tried %v; want %v", w.ip, want)
		}
		w = &world{}
		w.run(ips(strings.Join(x.names, " "))...) // known, not looked up
		if len(w.ip) != len(x.want) {
			t.Errorf("tried %d of known addresses; want %d", len(w.ip), len(x.want))
		}
	}
}

// HOST-4: each address has its share of the time that is left after the look-up: attempts
// start closer together, or one that goes on makes room for the next.
func TestShares(t *testing.T) {
	w := &world{limit: time.Second, names: "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5", look: 500 * ms}
	w.run()
	w.expect(t, "0s look up", "500ms dial 10.0.0.1", "600ms dial 10.0.0.2", "700ms dial 10.0.0.3", "800ms dial 10.0.0.4", "900ms dial 10.0.0.5",
		"1s give up 10.0.0.1", "1s give up 10.0.0.2", "1s give up 10.0.0.3", "1s give up 10.0.0.4", "1s give up 10.0.0.5")

	w = &world{d: eyeballs.Dialer{Delay: -1}, limit: 4 * time.Second, names: "10.0.0.1 10.0.0.2 10.0.0.3", look: time.Second,
		fates: map[string]fate{"10.0.0.1": {1500 * ms, nil}, "10.0.0.2": {200 * ms, errRefused}}}
	w.run()
	w.expect(t, "0s look up", "1s dial 10.0.0.1", "2s give up 10.0.0.1", "2s dial 10.0.0.2", "2.2s dial 10.0.0.3",
		"2.5s 10.0.0.1: false", "4s give up 10.0.0.3")
}

// A negative Delay waits for the failure, and without a limit for ever.
func TestNoLimit(t *testing.T) {
	w := &world{d: eyeballs.Dialer{Delay: -1}, limit: -1, names: "10.0.0.1 10.0.0.2", look: time.Hour,
		fates: map[string]fate{"10.0.0.1": {time.Hour, errRefused}, "10.0.0.2": {time.Hour, nil}}}
	w.run()
	w.expect(t, "0s look up", "1h0m0s dial 10.0.0.1", "2h0m0s dial 10.0.0.2", "3h0m0s 10.0.0.2: true")

	w = &world{limit: time.Second}
	w.run()
	w.expect(t, "0s look up", "1s look up no more")
}

// HOST-3: a look-up that fails, or that finds nothing of use.
func TestNoAddress(t *testing.T) {
	w := &world{names: "-"}
	w.run()
	w.expect(t, "0s look up", "0s unreachable")
	if w.err != errUnknown {
		t.Errorf("unreachable: %v", w.err)
	}
	w = &world{d: eyeballs.Dialer{Keep: netip.Addr.Is6}, names: "10.0.0.1 ::ffff:10.0.0.2"}
	w.run()
	w.expect(t, "0s look up", "0s unreachable")
	if w.err != eyeballs.ErrNoAddress {
		t.Errorf("unreachable: %v", w.err)
	}
	w = &world{d: eyeballs.Dialer{Keep: netip.Addr.Is6}, names: "10.0.0.1 fd00::1", limit: -1}
	w.run()
	w.expect(t, "0s look up", "0s dial fd00::1")
}

// Addresses that are known need no look-up.
func TestKnownAddress(t *testing.T) {
	w := &world{fates: map[string]fate{"10.0.0.1": {ms, errRefused}}}
	w.run(ips("10.0.0.1")...)
	w.expect(t, "0s dial 10.0.0.1", "1ms unreachable")
}

// Stop gives up what is in progress, once, and nothing is told after it.
func TestStop(t *testing.T) {
	w := &world{}
	w.d.Stop() // not begun: nothing
	w.later(ms, func() { w.d.Stop(); w.d.Stop() })
	w.run()
	w.expect(t, "0s look up", "1ms look up no more")

	w = &world{names: "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4",
		fates: map[string]fate{"10.0.0.1": {10 * ms, errRefused}, "10.0.0.2": {500 * ms, errRefused}}}
	w.later(400*ms, func() { w.d.Stop(); w.d.Stop() })
	w.run()
	w.expect(t, "0s look up", "0s dial 10.0.0.1", "10ms dial 10.0.0.2",
		"310ms dial 10.0.0.3", "400ms give up 10.0.0.2", "400ms give up 10.0.0.3")
}
