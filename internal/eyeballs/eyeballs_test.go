package eyeballs_test

import (
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

func (w *world) Dial(i int, ip netip.Addr, limit time.Duration) {
	w.note("dial %v within %v", ip, limit)
	if i != len(w.ip) {
		w.note("but it is attempt %d", i)
	}
	w.ip = append(w.ip, ip)
	if f, ok := w.fates[ip.String()]; ok {
		w.later(f.after, func() {
			if f.err != nil {
				w.d.Failed(i, fmt.Errorf("%v: %w", ip, f.err))
			} else {
				w.note("%v: %v", ip, w.d.Succeeded(i))
			}
		})
	}
}

func (w *world) GiveUp(i int)          { w.note("give up %v", w.ip[i]) }
func (w *world) Unreachable(err error) { w.note("unreachable"); w.err = err }

// run starts and lets everything happen.
func (w *world) run(known ...netip.Addr) {
	w.d.Network, w.d.Timer = w, w
	w.d.Start(known...)
	for len(w.events) > 0 {
		next := slices.MinFunc(w.events, func(a, b event) int { return int(a.at - b.at) })
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
	w.expect(t, "0s look up", "5ms dial 10.0.0.1 within 30s", "305ms dial fd00::1 within 30s",
		"315ms dial 10.0.0.2 within 30s", "365ms give up 10.0.0.1", "365ms 10.0.0.2: true",
		"405ms 10.0.0.1: false") // it was about to connect: the caller closes it
}

// HOST-6: Unreachable comes when the last attempt has failed, with all errors in the
// order in which the attempts were started.
func TestAllFail(t *testing.T) {
	w := &world{names: "10.0.0.1 10.0.0.2", fates: map[string]fate{
		"10.0.0.1": {500 * ms, errRefused}, "10.0.0.2": {10 * ms, errRefused},
	}}
	w.run()
	w.expect(t, "0s look up", "0s dial 10.0.0.1 within 30s", "300ms dial 10.0.0.2 within 30s", "500ms unreachable")
	errs, ok := w.err.(eyeballs.Errors)
	if !ok || len(errs) != 2 || !errors.Is(w.err, errRefused) || w.err.Error() != "10.0.0.1: refused; 10.0.0.2: refused" {
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

// The look-up and each attempt have a limit; a negative Delay waits for the failure.
func TestLimits(t *testing.T) {
	w := &world{d: eyeballs.Dialer{Timeout: time.Second, Delay: -1}, names: "10.0.0.1 10.0.0.2",
		fates: map[string]fate{"10.0.0.1": {time.Second, errRefused}, "10.0.0.2": {time.Hour, nil}}}
	w.run()
	w.expect(t, "0s look up", "0s dial 10.0.0.1 within 1s", "1s dial 10.0.0.2 within 1s", "1h0m1s 10.0.0.2: true")

	w = &world{d: eyeballs.Dialer{Timeout: time.Second}}
	w.run()
	w.expect(t, "0s look up", "1s look up no more", "1s unreachable")
	if w.err != eyeballs.ErrLookUpTimeout {
		t.Errorf("unreachable: %v", w.err)
	}

	w = &world{d: eyeballs.Dialer{Timeout: -1}, names: "10.0.0.1", look: time.Hour}
	w.run()
	w.expect(t, "0s look up", "1h0m0s dial 10.0.0.1 within -1ns")
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
	w = &world{d: eyeballs.Dialer{Keep: netip.Addr.Is6}, names: "10.0.0.1 fd00::1"}
	w.run()
	w.expect(t, "0s look up", "0s dial fd00::1 within 30s")
}

// Addresses that are known need no look-up.
func TestKnownAddress(t *testing.T) {
	w := &world{fates: map[string]fate{"10.0.0.1": {ms, errRefused}}}
	w.run(ips("10.0.0.1")...)
	w.expect(t, "0s dial 10.0.0.1 within 30s", "1ms unreachable")
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
	w.expect(t, "0s look up", "0s dial 10.0.0.1 within 30s", "10ms dial 10.0.0.2 within 30s",
		"310ms dial 10.0.0.3 within 30s", "400ms give up 10.0.0.2", "400ms give up 10.0.0.3")
}
