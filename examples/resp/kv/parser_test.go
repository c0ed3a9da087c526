package kv_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/whorl-go/whorl/examples/resp/kv"
	"github.com/whorl-go/whorl/frame"
)

// parse returns the commands of a stream that is cut as cuts says, each as its quoted arguments,
// and at last the error.
func parse(stream, cuts []byte) (got []string) {
	parser := kv.Parser{MaxArgs: 4, MaxBulk: 300, MaxRequest: 500}
	d := frame.Split{Find: parser.Find, MaxLength: -1}
	for i := 0; len(stream) > 0; i++ {
		n := len(stream)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[i%len(cuts)]))
		}
		p := slices.Clone(stream[:n])
		stream = stream[n:]
		for command, err := range frame.All(&d, p) {
			if err != nil {
				return append(got, "error: "+err.Error())
			}
			got = append(got, fmt.Sprintf("%q", parser.AppendArgs(nil, command)))
		}
		clear(p)
	}
	return got
}

// FuzzParser compares the commands of a stream that is cut with those of the whole one. What was parsed and
// is sent again as programs do is parsed as the same.
func FuzzParser(f *testing.F) {
	f.Add([]byte(request("SET", "k", "")+"PING\r\n  a b\n\r\n*0\r\n*-1\r\n"), []byte{0})
	f.Add([]byte("*2\r\n$3\r\nGET\r\n$2\r\nxx\r\r"), []byte{2, 1})
	f.Add([]byte("*1\r\n$0000000003\r\nGET\r\n*5\r\n"), []byte{3, 0})
	f.Add([]byte("*1\r\n$-0\r\n\r\n$1"), []byte{})
	f.Add([]byte("*1\r\n$300\r\n"+strings.Repeat("x", 300)+"\r\n*2\r\n$300\r\n"+strings.Repeat("x", 300)+"\r\n$300\r\n"), []byte{5, 200})
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		whole := parse(stream, nil)
		if got := parse(stream, cuts); !slices.Equal(got, whole) {
			t.Fatalf("cut, got %q\nwhole   %q", got, whole)
		}
		parser := kv.Parser{MaxArgs: 4, MaxBulk: 300, MaxRequest: 500}
		n, err := 0, error(nil)
		if len(stream) > 0 {
			n, err = parser.Find(stream)
		}
		if n == 0 || err != nil {
			return
		}
		args := parser.AppendArgs(nil, stream[:n])
		if len(args) > 1024 {
			return // words on a line, which are no command of arguments
		}
		again := new(bytes.Buffer)
		fmt.Fprintf(again, "*%d\r\n", len(args))
		for _, a := range args {
			fmt.Fprintf(again, "$%d\r\n%s\r\n", len(a), a)
		}
		parser = kv.Parser{}
		if n, err := parser.Find(again.Bytes()); err != nil || n != again.Len() {
			t.Fatalf("%q: %d, %v", again, n, err)
		}
		if got := parser.AppendArgs(nil, again.Bytes()); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", args) {
			t.Fatalf("%q became %q", args, got)
		}
	})
}

// Find looks at no byte of an argument twice, however many pieces it comes in, so a client that sends
// slowly costs no more than its bytes.
func TestParserGoesOn(t *testing.T) {
	args := slices.Repeat([]string{"0123456789"}, 1000)
	b := []byte(request(args...))
	var p kv.Parser
	for i := 1; i < len(b); i++ {
		if n, err := p.Find(b[:i]); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		// What lies behind is not looked at any more.
		if i > 200 {
			clear(b[:i-100])
			b[0] = '*'
		}
	}
	if n, err := p.Find(b); n != len(b) || err != nil {
		t.Error(n, err)
	}
}

// What a stream has is the same, whether a number comes whole or in pieces.
func TestParserCut(t *testing.T) {
	for _, text := range []string{"*-2000\r\n", "*-9999999999\r\n", "*0\r\n", "*2000\r\n", "*1\r\n$-5\r\n", "*1\r\n$1\r\nx\r\n", "*1\r\n$2000000\r\n"} {
		want, wantErr := new(kv.Parser).Find([]byte(text))
		p, got, err := new(kv.Parser), 0, error(nil)
		for i := 1; i <= len(text) && got == 0 && err == nil; i++ {
			got, err = p.Find([]byte(text[:i]))
		}
		if got != want || err != wantErr {
			t.Errorf("%q whole is %d, %v, and in pieces %d, %v", text, want, wantErr, got, err)
		}
	}
}
