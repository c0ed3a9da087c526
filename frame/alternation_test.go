//go:build !race

// The test has one goroutine and many iterations. The race detector could find nothing
// here, and makes it take seconds.

package frame_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/frame"
)

// LINE-4: alternating in one chunk neither recurses nor copies. What is given back is
// taken without copying, so the work is not quadratic.
func TestLINE4DeepAlternation(t *testing.T) {
	const n = 100_000
	stream := []byte(strings.Repeat("l\r\nr", n))
	var d frame.Lines
	lines, raws := 0, 0
	allocs(t, func() {
		d.Feed(stream)
		for {
			f, ok, err := d.Next()
			switch {
			case err != nil:
				t.Fatal(err)
			case !ok:
				return
			case d.Raw():
				raws++
				if f[0] != 'r' {
					t.Fatalf("raw bytes begin with %q", f[0])
				}
				d.SetLines(f[1:])
			default:
				lines++
				if string(f) != "l" {
					t.Fatalf("line %q", f)
				}
				d.SetRaw()
			}
		}
	})
	if lines != raws || lines < n {
		t.Errorf("%d lines, %d raws", lines, raws)
	}
}

// LINE-15: a caller that gives back a copy of each rest has nothing copied a second time, also
// if it pauses after each line, and if more is fed before it gives the rest back. So the bytes
// that are copied grow with what is fed, not with its square.
func TestLINE15CopiedRest(t *testing.T) {
	const n = 2000
	one := []byte("l\r\nr")
	stream := bytes.Repeat(one, n)
	mine := bytes.Repeat(one, 2*n) // the caller's copy: every rest is an end of it
	for _, c := range []struct {
		name       string
		pause, fed bool
		most       float64 // allocations: what is kept of the chunk, which grows by doubling, and one for each Feed
	}{{"copied", false, false, 0}, {"paused", true, false, 1}, {"fed", false, true, n + 20}} {
		t.Run(c.name, func(t *testing.T) {
			raws := 0
			got := testing.AllocsPerRun(1, func() {
				var d frame.Lines
				d.Feed(stream)
				for raws = 0; ; {
					f, ok, err := d.Next()
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						return
					}
					if !d.Raw() {
						d.SetRaw()
						if c.pause {
							d.Pause()
							d.Resume()
						}
						continue
					}
					if raws++; c.fed && raws <= n {
						d.Feed(one)
					}
					d.SetLines(mine[len(mine)-len(f)+1:])
				}
			})
			if raws < n || c.fed && raws != 2*n {
				t.Errorf("%d pieces of raw bytes", raws)
			}
			if got > c.most {
				t.Errorf("LINE-15: %v allocations, want at most %v", got, c.most)
			}
		})
	}
}
