package retry_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/whorl-go/whorl/retry"
)

// fixed is a source that always returns the same.
type fixed struct{ even, normal float64 }

func (f fixed) Float64() float64     { return f.even }
func (f fixed) NormFloat64() float64 { return f.normal }

func seconds(t *testing.T, e retry.Exponential, n int, s retry.Source) float64 {
	t.Helper()
	d, ok := e.Delay(n, s)
	if !ok {
		t.Fatalf("gave up before retry %d", n)
	}
	return math.Round(d.Seconds()*100) / 100
}

// SVC-26: the wait is min(initial*factor^n, max) plus jitter. The defaults are 1 s, 60 s,
// 1.5 and up to 1 s.
func TestSVC26Defaults(t *testing.T) {
	for _, c := range []struct {
		n      int
		jitter float64
		want   float64
	}{
		{0, 1, 2}, {1, 1, 2.5}, {10, 1, 58.67}, {20, 1, 61}, {100, 1, 61},
		{0, 0, 1}, {1, 0, 1.5}, {2, 0.5, 2.75}, {20, 0, 60},
		{math.MaxInt, 1, 61}, // never overflows
		{-1, 0, 1}, {math.MinInt, 0, 1},
	} {
		if got := seconds(t, retry.Exponential{}, c.n, fixed{even: c.jitter}); got != c.want {
			t.Errorf("n=%d jitter=%v: %v s, want %v", c.n, c.jitter, got, c.want)
		}
	}
}

// SVC-26: nothing overflows at the ends of the range either.
func TestSVC26NoOverflow(t *testing.T) {
	for _, e := range []retry.Exponential{
		{Initial: math.MaxInt64, Max: -1, Factor: math.MaxFloat64, Jitter: math.MaxInt64},
		{Max: math.MaxInt64, Factor: math.Inf(1)},
		{Max: -1, Spread: math.MaxFloat64},
	} {
		for _, n := range []int{1, 100, 10_000, math.MaxInt} {
			if d, ok := e.Delay(n, fixed{1, 1}); !ok || d < math.MaxInt64-1024 {
				t.Errorf("%+v, n=%d: %v, want the greatest duration", e, n, d)
			}
		}
	}
	for _, factor := range []float64{math.NaN(), -2, math.Inf(-1)} {
		e := retry.Exponential{Factor: factor, Jitter: -1}
		for n := 1; n < 4; n++ {
			if d, _ := e.Delay(n, nil); d != 0 {
				t.Errorf("factor %v, n=%d: %v, want 0", factor, n, d)
			}
		}
	}
}

// RECON-1: the first wait is 1 s, the factor e, sigma 0.1196 of the wait, the maximum
// 3600 s.
func TestRECON1Reconnecting(t *testing.T) {
	e := retry.Reconnecting()
	for _, c := range []struct {
		n      int
		normal float64
		want   float64
	}{
		{0, 0, 1}, // RECON-2: the first retry waits 1 s, not 2.7
		{1, 0, 2.72}, {2, 0, 7.39}, {9, 0, 3600}, {1000, 0, 3600},
		{0, 1, 1.12}, {0, -1, 0.88}, {2, 2, 9.16}, {2, -1, 6.51},
		{9, 1, 3600}, // RECON-2: never above the maximum
		{0, -9, 0},   // RECON-2: never below zero
		{9, -10, 0},  // RECON-2
		{9, -1, 3169.34},
	} {
		if got := seconds(t, e, c.n, fixed{even: 1, normal: c.normal}); got != c.want {
			t.Errorf("n=%d normal=%v: %v s, want %v", c.n, c.normal, got, c.want)
		}
	}
}

// RECON-2: whatever the random source returns, the wait stays in [0, Max]. It does vary.
func TestRECON2Clamp(t *testing.T) {
	e := retry.Exponential{Initial: time.Second, Max: 10 * time.Second, Factor: 2, Spread: 3, Jitter: -1}
	random := rand.New(rand.NewPCG(1, 2))
	seen := map[time.Duration]bool{}
	for n := range 10_000 {
		d, _ := e.Delay(n%10, random)
		if d < 0 || d > e.Max {
			t.Fatalf("n=%d: %v", n, d)
		}
		seen[d] = true
	}
	if !seen[0] || !seen[e.Max] || len(seen) < 1000 {
		t.Errorf("%d different delays, with 0: %v, with the maximum: %v", len(seen), seen[0], seen[e.Max])
	}
}

// RECON-3: after MaxRetries in a row there are no more, and it starts over from 0.
func TestRECON3MaxRetries(t *testing.T) {
	e := retry.Exponential{MaxRetries: 3}
	for n, want := range []bool{true, true, true, false, false} {
		if d, ok := e.Delay(n, nil); ok != want || ok == (d == 0) {
			t.Errorf("retry %d: %v, %v", n, d, ok)
		}
	}
	if d, ok := e.Delay(0, nil); !ok || d != time.Second {
		t.Errorf("after a success: %v, %v", d, ok)
	}
	one := retry.Exponential{MaxRetries: 1}
	if d, ok := one.Delay(0, nil); !ok || d != time.Second {
		t.Errorf("the one retry: %v, %v", d, ok)
	}
	if d, ok := one.Delay(1, nil); ok || d != 0 {
		t.Errorf("a second retry: %v, %v", d, ok)
	}
	for _, e := range []retry.Exponential{{}, {MaxRetries: -1}} {
		if _, ok := e.Delay(1_000_000, nil); !ok {
			t.Errorf("%+v gives up", e)
		}
	}
}

func TestFields(t *testing.T) {
	for _, c := range []struct {
		name string
		e    retry.Exponential
		n    int
		want float64
	}{
		{"initial", retry.Exponential{Initial: 3 * time.Second, Jitter: -1}, 0, 3},
		{"no initial", retry.Exponential{Initial: -1, Jitter: -1}, 5, 0},
		{"maximum at once", retry.Exponential{Initial: 3 * time.Second, Max: time.Second, Jitter: -1}, 0, 1},
		{"no maximum", retry.Exponential{Max: -1, Factor: 10, Jitter: -1}, 4, 10000},
		{"shrinking", retry.Exponential{Factor: 0.5, Jitter: -1}, 2, 0.25},
		{"jitter", retry.Exponential{Jitter: 4 * time.Second}, 0, 3},
		{"the first wait does not grow", retry.Exponential{Factor: -2, Jitter: -1}, 0, 1},
	} {
		if got := seconds(t, c.e, c.n, fixed{even: 0.5, normal: 7}); got != c.want {
			t.Errorf("%s: %v s, want %v", c.name, got, c.want)
		}
	}
}

// The shortest and the longest waits are exact.
func TestEnds(t *testing.T) {
	for _, c := range []struct {
		e    retry.Exponential
		want time.Duration
	}{
		{retry.Exponential{Initial: 1, Jitter: -1}, 1},
		{retry.Exponential{Initial: 1, Jitter: 1}, 2},
		{retry.Exponential{Initial: math.MaxInt64, Max: -1, Jitter: -1}, math.MaxInt64},
	} {
		if d, ok := c.e.Delay(0, fixed{even: 1}); !ok || d != c.want {
			t.Errorf("%+v: %d ns, want %d", c.e, d, c.want)
		}
	}
}

// counter counts what is taken from it.
type counter struct{ even, normal int }

func (c *counter) Float64() float64     { c.even++; return 0 }
func (c *counter) NormFloat64() float64 { c.normal++; return 0 }

// Without Spread or Jitter nothing is taken from the source, whose other users get the same.
func TestSourceIsLeftAlone(t *testing.T) {
	for want, e := range map[counter]retry.Exponential{
		{}:                   {Jitter: -1},
		{even: 1}:            {},
		{normal: 1}:          {Spread: 1, Jitter: -1},
		{even: 1, normal: 1}: {Spread: 1},
	} {
		var c counter
		if e.Delay(0, &c); c != want {
			t.Errorf("%+v took %+v, want %+v", e, c, want)
		}
	}
}

func TestDelayAllocs(t *testing.T) {
	e := retry.Reconnecting()
	random := rand.New(rand.NewPCG(1, 2))
	if n := testing.AllocsPerRun(100, func() { e.Delay(5, random) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func ExampleExponential() {
	e := retry.Exponential{Initial: time.Second, Factor: 2, Max: 10 * time.Second, Jitter: -1, MaxRetries: 5}
	for n := 0; ; n++ {
		wait, ok := e.Delay(n, nil)
		if !ok {
			fmt.Println("giving up")
			break
		}
		fmt.Println(wait)
	}
	// Output:
	// 1s
	// 2s
	// 4s
	// 8s
	// 10s
	// giving up
}
