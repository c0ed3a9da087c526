package whorl

import (
	"crypto/tls"
	"io"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/reactor"
)

// A loop that waits and holds its P does not starve goroutines of the same process that wait
// in package net: they hear at once what the loop has sent, not at the runtime's next timer.
func TestGoroutinesAreNotStarved(t *testing.T) {
	file, roots := certificate(t)
	for range 40 {
		v := start(t, Config{Grace: 3 * time.Second}, reactor.Each[polite](), "tls:0:"+endpoint.Quote(file)+":interface=127.0.0.1")
		c := tls.Client(v.dial(0), &tls.Config{RootCAs: roots, ServerName: "localhost"})
		echoed(t, c)
		began := time.Now()
		v.cancel()
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
		c.Close()
		<-v.result
		if took := time.Since(began); took > 2*time.Second {
			t.Fatalf("it took %v to hear the end", took)
		}
	}
}
