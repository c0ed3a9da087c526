package main

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
)

func TestLatencies(t *testing.T) {
	perSecond, p50, p99, err := latencies(`"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"` + "\n" +
		`"MSET (10 keys)","285714.28","1.474","0.400","1.055","3.791","3.799","3.800"` + "\n")
	if perSecond != 285714.28 || p50 != 1055 || p99 != 3799 || err != nil {
		t.Error(perSecond, p50, p99, err)
	}
	for _, text := range []string{"", "\"test\",\"rps\"\n", "Error from server: ERR\n"} {
		if _, _, _, err := latencies(text); err == nil {
			t.Errorf("%q is taken for figures", text)
		}
	}
}

// The servers on package net answer as the others do, also if a command comes in pieces.
func TestRedisServersOnNet(t *testing.T) {
	s := &netStore{keys: map[string][]byte{}}
	for name, serve := range map[string]func(net.Conn){"net": s.shared, "net-bufio": s.buffered, "net-simple": s.simple} {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			serve(theirs)
		}()
		go func() {
			for _, b := range []byte(redisProbe) {
				_, _ = ours.Write([]byte{b})
			}
		}()
		got := make([]byte, len(redisAnswer))
		if _, err := io.ReadFull(ours, got); err != nil || !bytes.Equal(got, []byte(redisAnswer)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		ours.Close()
	}
}

// The floor answers each command once, however they are cut.
func TestRedisFloor(t *testing.T) {
	const commands, answers = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "+OK\r\n$3\r\nxxx\r\n"
	for size := 1; size <= len(commands); size++ {
		var out []byte
		star := false
		for p := []byte(commands); len(p) > 0; {
			n := min(size, len(p))
			out, star = floorAnswers(out, p[:n], star)
			p = p[n:]
		}
		if string(out) != answers {
			t.Errorf("pieces of %d: %q", size, out)
		}
	}
}

// Numbers with which redis-benchmark would never end, or measure nothing, are refused at once.
func TestRedisNumbers(t *testing.T) {
	for _, args := range []string{"-rounds=0", "-rounds=-1", "-c=0", "-keys=-1", "-d=0", "-scale=0", "-scale=-1", "-scale=NaN", "-scale=Inf", "-scale=1e300"} {
		name, _, _ := strings.Cut(args, "=")
		if _, err := parseRedis([]string{args}); err == nil || !strings.HasPrefix(err.Error(), name+" ") {
			t.Errorf("%s: %v", args, err)
		}
	}
	if r, err := parseRedis([]string{"-scale=0.02", "-rounds=1", "-c=1", "-d=1", "-cpus=all"}); err != nil || r.scale != 0.02 {
		t.Errorf("good numbers: %v", err)
	}
}
