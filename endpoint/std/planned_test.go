package std_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// hosts is a resolver with a table: names to addresses, separated by blanks.
type hosts struct {
	names  map[string]string
	silent bool          // never answers
	delay  time.Duration // before it answers
	asked  []string
	given  int // look-ups given up
}

func (h *hosts) Resolve(r *reactor.Reactor, name string, done func([]netip.Addr, error)) (cancel func()) {
	h.asked = append(h.asked, name)
	over := false
	cancel = func() {
		over = true
		h.given++
	}
	if h.silent {
		return cancel
	}
	var found []netip.Addr
	for text := range strings.FieldsSeq(h.names[name]) {
		found = append(found, netip.MustParseAddr(text))
	}
	r.CallLater(h.delay, func() {
		if over {
			return
		}
		if found == nil {
			done(nil, fmt.Errorf("nobody is called %s", name))
			return
		}
		done(found, nil)
	})
	return cancel
}

// fate is what becomes of connecting to an address: nil or an error after so long.
type fate struct {
	after time.Duration
	err   error
}

const never = time.Duration(-1)

// planned is a kernel whose network does what the test says, in virtual time. Its
// connections carry nothing. It keeps a diary.
type planned struct {
	now     time.Duration
	start   time.Duration
	fates   map[string]fate // by host; others are refused at once
	socks   []*plannedSock  // open
	diary   []string
	options []string
	stream  []kernel.StreamOptions // of these
	asked   []kernel.Addr
	work    []func()
}

func newPlanned(fates map[string]fate) *planned {
	return &planned{now: time.Hour, start: time.Hour, fates: fates}
}

func (k *planned) note(what string, a kernel.Addr) {
	k.diary = append(k.diary, fmt.Sprintf("%v %s %s", k.now-k.start, what, a.Host()))
}

func (k *planned) Now() time.Duration { return k.now }
func (k *planned) Wake()              {}
func (k *planned) Close() error       { return nil }

// Work has fn called by the next Wait, as virtual time demands: a reactor that is closed would
// not wait for a goroutine.
func (k *planned) Work(fn func()) { k.work = append(k.work, fn) }

func (k *planned) FinishWork() {
	for len(k.work) > 0 {
		fn := k.work[0]
		k.work = k.work[1:]
		fn()
	}
}

func (k *planned) Wait(ev []kernel.Event, until time.Duration) (int, error) {
	if len(k.work) > 0 {
		k.FinishWork()
		return 0, nil
	}
	next := until
	for _, s := range k.socks {
		if s.armed&kernel.Writable != 0 && s.due >= 0 {
			next = min(next, s.due)
		}
	}
	if next == kernel.Forever {
		return 0, nil
	}
	k.now = max(k.now, next)
	n := 0
	for _, s := range k.socks {
		if s.armed&kernel.Writable != 0 && s.due >= 0 && s.due <= k.now && n < len(ev) {
			ev[n] = kernel.Event{Token: s.token, Ready: kernel.Writable}
			n++
		}
	}
	return n, nil
}

// ask keeps what Listen or Dial was asked for.
func (k *planned) ask(a kernel.Addr, backlog int, bind kernel.Addr, o kernel.StreamOptions) {
	k.asked, k.stream = append(k.asked, a), append(k.stream, o)
	k.options = append(k.options, fmt.Sprintf("{Backlog:%d Bind:%v NoDelay:%v KeepAlive:%v}", backlog, bind, !o.Nagle, o.KeepAlive))
}

func (k *planned) Listen(a kernel.Addr, o *kernel.ListenOptions) (kernel.Listener, error) {
	k.ask(a, o.Backlog, kernel.Addr{}, o.StreamOptions)
	return &plannedSock{k: k, local: a, due: never}, nil
}

func (k *planned) Dial(a kernel.Addr, o *kernel.DialOptions) (kernel.Conn, error) {
	k.ask(a, 0, o.Bind, o.StreamOptions)
	k.note("dial", a)
	f, ok := k.fates[a.Host()]
	if !ok {
		return nil, kernel.ErrRefused
	}
	s := &plannedSock{k: k, remote: a, local: o.Bind, due: k.now + f.after, err: f.err}
	if f.after == never {
		s.due = never
	}
	k.socks = append(k.socks, s)
	return s, nil
}

func (k *planned) Arm(s kernel.Handle, token uint32, r kernel.Ready) error {
	s.(*plannedSock).token, s.(*plannedSock).armed = token, r
	return nil
}

type plannedSock struct {
	k             *planned
	local, remote kernel.Addr
	due           time.Duration
	err           error
	token         uint32
	armed         kernel.Ready
	connected     bool
}

func (s *plannedSock) Read([]byte) (int, error)     { return 0, kernel.ErrAgain }
func (s *plannedSock) Write(p []byte) (int, error)  { return len(p), nil }
func (s *plannedSock) Accept() (kernel.Conn, error) { return nil, kernel.ErrAgain }
func (s *plannedSock) CloseWrite() error            { return nil }
func (s *plannedSock) Abort() error                 { return s.Close() }
func (s *plannedSock) Local() kernel.Addr           { return s.local }
func (s *plannedSock) Remote() kernel.Addr          { return s.remote }

func (s *plannedSock) Connected() error {
	if s.err == nil {
		s.connected = true
		s.k.note("connected", s.remote)
	}
	return s.err
}

func (s *plannedSock) Close() error {
	if i := slices.Index(s.k.socks, s); i >= 0 {
		s.k.socks = slices.Delete(s.k.socks, i, i+1)
		if !s.connected && s.err == nil {
			s.k.note("drop", s.remote)
		}
	}
	s.armed = 0
	return nil
}

// plan is a reactor on a planned kernel, with a table of names.
type plan struct {
	*planned
	*reactor.Reactor
	hosts *hosts
}

func newPlan(t *testing.T, names map[string]string, fates map[string]fate) plan {
	p := plan{planned: newPlanned(fates), hosts: &hosts{names: names}}
	p.Reactor = testworld.New(t, p.planned, reactor.Config{Resolver: p.hosts})
	return p
}

// result connects and turns until done was called and everything is quiet.
func (p plan) result(t *testing.T, description string) result {
	t.Helper()
	var got result
	client(t, description).Connect(p.Reactor, new(site), func(proto reactor.Protocol, err error) {
		what := "done"
		if err != nil {
			what = "failed"
		}
		p.note(what, kernel.Addr{})
		got.done(proto, err)
	})
	p.until(t, &got)
	return got
}

// until turns until done was called, and a little longer: nothing more must come,
// no timer may be left, and no sock but that of the connection (X-5, HOST-5).
func (p plan) until(t *testing.T, got *result) {
	t.Helper()
	for range 1000 {
		if got.calls > 0 {
			break
		}
		if err := p.Turn(-1); err != nil {
			t.Fatal(err)
		}
	}
	if got.calls == 0 {
		t.Fatalf("nothing came of it\n%s", strings.Join(p.diary, "\n"))
	}
	if n := len(p.DelayedCalls()); n != 0 {
		t.Errorf("%d delayed calls left: %v", n, p.DelayedCalls())
	}
	for range 10 {
		if err := p.Turn(0); err != nil {
			t.Fatal(err)
		}
	}
	left := 0
	if got.err == nil {
		left = 1
	}
	if got.calls != 1 || len(p.socks) != left || p.Stats().Sources != left {
		t.Errorf("%d results, %d socks, %d sources left", got.calls, len(p.socks), p.Stats().Sources)
	}
}

// expect compares the diary.
func (p plan) expect(t *testing.T, want ...string) {
	t.Helper()
	for i, line := range p.diary {
		p.diary[i] = strings.TrimRight(line, " ")
	}
	if !slices.Equal(p.diary, want) {
		t.Errorf("diary:\n  %s\nwant:\n  %s", strings.Join(p.diary, "\n  "), strings.Join(want, "\n  "))
	}
}
