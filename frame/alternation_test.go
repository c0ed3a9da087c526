//go:build !race

// The test has one goroutine and many iterations. The race detector could find nothing
// here, and makes it take seconds.

package frame_test

import (
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
