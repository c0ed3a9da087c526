package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
)

// period is prime, so that bytes which are lost, repeated or shifted do not fit.
const period = 65521

// pattern holds the bytes that are sent, twice, so that each period of them is one slice.
var pattern = sync.OnceValue(func() []byte {
	random := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, 2*period)
	for i := range period {
		p[i] = byte(random.Uint32())
	}
	copy(p[period:], p)
	return p
})

// piece returns n bytes, at most a period, of the stream of seed, from offset on. The slice
// is shared: nobody may change it.
func piece(seed int, offset int64, n int) []byte {
	start := int((int64(seed)*4099 + offset) % period)
	return pattern()[start : start+min(n, period)]
}

// verifier is a Writer that compares what is written with the stream of seed.
type verifier struct {
	seed  int
	got   int64
	wrong int64 // bytes in pieces that differ
}

func (v *verifier) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		want := piece(v.seed, v.got, len(rest))
		if !bytes.Equal(rest[:len(want)], want) {
			v.wrong += int64(len(want))
		}
		v.got += int64(len(want))
		rest = rest[len(want):]
	}
	return len(p), nil
}

// readPattern reads up to n bytes of the stream of v and compares them. A stream that ends
// before is io.EOF.
func (v *verifier) readPattern(r io.Reader, n int64) error {
	_, err := io.CopyN(v, r, n)
	return err
}

// writePattern writes n bytes of the stream of seed.
func writePattern(w io.Writer, seed int, n int64) error {
	for offset := int64(0); offset < n; {
		k, err := w.Write(piece(seed, offset, int(min(n-offset, 32<<10))))
		if offset += int64(k); err != nil {
			return err
		}
	}
	return nil
}
