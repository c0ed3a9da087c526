package frame_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/whorl-go/whorl/frame"
)

// everyChunk runs body for several ways of cutting a stream into pieces: X-7. cut feeds a
// whole stream.
func everyChunk(t *testing.T, body func(t *testing.T, cut func(stream string, feed func(chunk []byte)))) {
	for _, size := range []int{1, 2, 3, 7, 1 << 30} {
		t.Run(fmt.Sprint("chunk", size), func(t *testing.T) {
			body(t, func(stream string, feed func([]byte)) {
				for chunk := range slices.Chunk([]byte(stream), min(size, max(1, len(stream)))) {
					lent := slices.Clone(chunk)
					feed(lent)
					// The chunk is the caller's again. Overwrite it: nobody may still use it.
					for i := range lent {
						lent[i] = '#'
					}
				}
			})
		})
	}
}

// drain returns the frames of d for one chunk, as text. An error is the last of them.
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
