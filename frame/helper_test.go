package frame_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/frame"
)

// everyChunk runs body for every way of cutting the stream into pieces: X-7. cut
// feeds a whole stream.
func everyChunk(t *testing.T, body func(t *testing.T, cut func(stream string, feed func(chunk []byte)))) {
	for _, size := range []int{1, 2, 3, 7, 1 << 30} {
		t.Run(fmt.Sprint("chunk", size), func(t *testing.T) {
			body(t, func(stream string, feed func([]byte)) {
				for chunk := range slices.Chunk([]byte(stream), min(size, max(1, len(stream)))) {
					lent := slices.Clone(chunk)
					feed(lent)
					// The chunk is the caller's again: whoever still looks at it sees this.
					for i := range lent {
						lent[i] = '#'
					}
				}
			})
		})
	}
}

// drain is what d returns for one chunk, as text; an error is the last of it.
func drain(d frame.Decoder, p []byte) (got []string) {
	for f, err := range frame.All(d, p) {
		if err != nil {
			return append(got, "error: "+err.Error())
		}
		got = append(got, string(f))
	}
	return got
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got  %q\nwant %q", got, want)
	}
}

// allocs fails if f allocates.
func allocs(t *testing.T, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
