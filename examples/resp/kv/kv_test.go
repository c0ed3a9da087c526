package kv_test

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/examples/resp/kv"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// maxBuffered is so low that who is not held back, but answered, is lost.
const maxBuffered = 200_000

func listen(t *testing.T, r *reactor.Reactor, s *kv.Server) kernel.Addr {
	t.Helper()
	port, err := r.Listen(kernel.TCPAddr(netip.MustParseAddr("127.0.0.1"), 0), s, &reactor.ListenConfig{StreamConfig: reactor.StreamConfig{MaxBuffered: maxBuffered}})
	if err != nil {
		t.Fatal(err)
	}
	return port.Addr()
}

// request is a command as clients send it.
func request(args ...string) string {
	b := new(strings.Builder)
	fmt.Fprintf(b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(b, "$%d\r\n%s\r\n", len(a), a)
	}
	return b.String()
}

// wait lets time pass.
func wait(r *reactor.Reactor, d time.Duration) {
	over := false
	r.CallLater(d, func() { over = true })
	for !over {
		r.Turn(-1)
	}
}

// simulated runs body where time is virtual.
func simulated(t *testing.T, body func(w testworld.World, r *reactor.Reactor)) {
	for _, w := range testworld.Worlds() {
		if w.Simulated() {
			body(w, w.New(t, reactor.Config{}))
		}
	}
}

// Commands are answered in order, also if they come together, however the stream is cut.
func TestCommands(t *testing.T) {
	calls := []struct{ call, answer string }{
		{request("PING"), "+PONG\r\n"},
		{request("ping", "a\r\nb"), "$4\r\na\r\nb\r\n"},
		{"PING\r\n\r\n", "+PONG\r\n"},
		{" echo  hi \n", "$2\r\nhi\r\n"},
		{request("ECHO", ""), "$0\r\n\r\n"},
		{"*0\r\n*-1\r\n" + request("GET", "k"), "$-1\r\n"},
		{request("SET", "k", "v\x00w"), "+OK\r\n"},
		{request("GET", "k"), "$3\r\nv\x00w\r\n"},
		{request("TTL", "k"), ":-1\r\n"},
		{request("TTL", "none"), ":-2\r\n"},
		{request("EXPIRE", "k", "100"), ":1\r\n"},
		{request("TTL", "k"), ":100\r\n"},
		{request("EXPIRE", "none", "100"), ":0\r\n"},
		{request("EXPIRE", "k", "x"), "-ERR value is not an integer or out of range\r\n"},
		{request("EXPIRE", "k", "0"), ":1\r\n"},
		{request("GET", "k"), "$-1\r\n"},
		{request("INCR", "n"), ":1\r\n"},
		{request("INCR", "n"), ":2\r\n"},
		{request("SET", "n", "x", "EX", "10"), "+OK\r\n"},
		{request("INCR", "n"), "-ERR value is not an integer or out of range\r\n"},
		{request("TTL", "n"), ":10\r\n"},
		{request("SET", "n", "x", "EX", "0"), "-ERR invalid expire time in 'set' command\r\n"},
		{request("SET", "n", "x", "EX"), "-ERR syntax error\r\n"},
		{request("SET", "n", "x", "NX", "XX"), "-ERR syntax error\r\n"},
		{request("SET", "n", "y", "nx"), "$-1\r\n"},
		{request("SET", "new", "y", "XX"), "$-1\r\n"},
		{request("SET", "new", "y", "PX", "2000", "NX"), "+OK\r\n"},
		{request("SET", "new", "yy", "KEEPTTL", "XX"), "+OK\r\n"},
		{request("TTL", "new") + request("GET", "new"), ":2\r\n$2\r\nyy\r\n"},
		{request("PERSIST", "new") + request("PERSIST", "new") + request("PERSIST", "none") + request("PTTL", "new"), ":1\r\n:0\r\n:0\r\n:-1\r\n"},
		{request("PEXPIRE", "new", "3000") + request("SET", "new", "z") + request("TTL", "new"), ":1\r\n+OK\r\n:-1\r\n"},
		{request("EXISTS", "n", "none", "new", "n"), ":3\r\n"},
		{request("TYPE", "n") + request("TYPE", "none"), "+string\r\n+none\r\n"},
		{request("DEL", "n", "none", "n"), ":1\r\n"},
		{request("MSET", "a", "1", "b", "2"), "+OK\r\n"},
		{request("MSET", "a", "1", "b"), "-ERR wrong number of arguments for 'mset' command\r\n"},
		{request("MGET", "a", "none", "b"), "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n"},
		{request("INCRBY", "a", "9") + request("DECRBY", "a", "12") + request("DECR", "a"), ":10\r\n:-2\r\n:-3\r\n"},
		{request("SET", "a", "9223372036854775806") + request("INCR", "a") + request("INCR", "a"), "+OK\r\n:9223372036854775807\r\n-ERR increment or decrement would overflow\r\n"},
		{request("SET", "a", "-9223372036854775808") + request("DECR", "a"), "+OK\r\n-ERR increment or decrement would overflow\r\n"},
		{request("DECRBY", "a", "-9223372036854775808"), "-ERR value is not an integer or out of range\r\n"},
		{request("APPEND", "b", "34") + request("GET", "b") + request("STRLEN", "b"), ":3\r\n$3\r\n234\r\n:3\r\n"},
		{request("APPEND", "c", "") + request("STRLEN", "c") + request("STRLEN", "none"), ":0\r\n:0\r\n:0\r\n"},
		{request("DBSIZE") + request("KEYS", "[a-b]"), ":4\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"},
		{request("SCAN", "0", "COUNT", "3", "MATCH", "?"), "*2\r\n$1\r\n1\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"},
		{request("SCAN", "1", "MATCH", "x*"), "*2\r\n$1\r\n0\r\n*0\r\n"},
		{request("SCAN", "x") + request("SCAN", "0", "COUNT", "0"), "-ERR invalid cursor\r\n-ERR syntax error\r\n"},
		{request("FLUSHALL") + request("DBSIZE"), "+OK\r\n:0\r\n"},
		{request("GET"), "-ERR wrong number of arguments for 'get' command\r\n"},
		{request("NONE\r\n"), "-ERR unknown command 'NONE??'\r\n"},
		{request("SELECT", "0") + request("SELECT", "1"), "+OK\r\n-ERR DB index is out of range\r\n"},
		{request("CONFIG", "GET", "save"), "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
		{request("CLIENT", "SETNAME", "me") + request("CLIENT", "GETNAME"), "+OK\r\n$2\r\nme\r\n"},
		{request("CLIENT", "SETINFO", "LIB-NAME", "test"), "+OK\r\n"},
		{request("HELLO", "4"), "-NOPROTO unsupported protocol version\r\n"},
		{request("COMMAND", "DOCS", "GET"), "*0\r\n"},
		{request("PUBLISH", "c", "m"), ":0\r\n"},
		{request("UNSUBSCRIBE"), "*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n"},
		{request("SUBSCRIBE", "c", "d"), "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nd\r\n:2\r\n"},
		{request("GET", "k"), "-ERR Can't execute 'get': only SUBSCRIBE, UNSUBSCRIBE, PING and QUIT are allowed in this context\r\n"},
		{request("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n"},
		{request("UNSUBSCRIBE"), "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nd\r\n:0\r\n"},
		{request("QUIT") + request("PING"), "+OK\r\n"},
	}
	all, answers := "", ""
	for _, c := range calls {
		all, answers = all+c.call, answers+c.answer
	}
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			addr := listen(t, r, new(kv.Server))
			one, together := w.Peer(t, addr, r), w.Peer(t, addr, r)
			for _, c := range calls {
				one.Send(c.call)
				one.Expect(c.answer)
			}
			together.Send(all)
			got, err := together.Rest()
			if string(got) != answers || err != io.EOF {
				t.Errorf("%v, and got\n%q, want\n%q", err, got, answers)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	simulated(t, func(w testworld.World, r *reactor.Reactor) {
		p := w.Peer(t, listen(t, r, new(kv.Server)), r)
		p.Send(request("SET", "k", "v", "EX", "10") + request("SET", "l", "v", "EX", "10"))
		p.Expect("+OK\r\n+OK\r\n")
		wait(r, 4*time.Second)
		p.Send(request("TTL", "k") + request("PTTL", "k") + request("SET", "l", "w"))
		p.Expect(":6\r\n:6000\r\n+OK\r\n")
		wait(r, 7*time.Second)
		p.Send(request("GET", "k") + request("GET", "l"))
		p.Expect("$-1\r\n$1\r\nw\r\n")
	})
}

// A byte now and then does not help, and a subscriber may be silent.
func TestIdle(t *testing.T) {
	simulated(t, func(w testworld.World, r *reactor.Reactor) {
		addr := listen(t, r, &kv.Server{Idle: 10 * time.Second})
		slow, sub := w.Peer(t, addr, r), w.Peer(t, addr, r)
		sub.Send(request("SUBSCRIBE", "c"))
		sub.Expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
		slow.Send("*1\r\n$400\r\nP")
		began, err := r.Now(), error(nil)
		for err == nil && r.Now()-began < time.Minute {
			wait(r, time.Second)
			_, err = slow.TryWrite([]byte("I"))
		}
		if d := r.Now() - began; d < 9*time.Second || d > 12*time.Second {
			t.Errorf("ended after %v with %v", d, err)
		}
		wait(r, time.Minute)
		sub.Send(request("PING"))
		sub.Expect("*2\r\n$4\r\npong\r\n$0\r\n\r\n")
	})
}

// Messages go to all subscribers. One that reads nothing is dropped, and the others notice nothing.
func TestSubscribers(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			addr := listen(t, r, &kv.Server{MaxPending: 100_000})
			fast, slow, pub := w.Peer(t, addr, r), w.Peer(t, addr, r), w.Peer(t, addr, r)
			for _, p := range []*testworld.Peer{fast, slow} {
				p.Send(request("SUBSCRIBE", "c"))
				p.Expect("*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
			}
			long := strings.Repeat("x", 50_000)
			want := fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$50000\r\n%s\r\n", long)
			n := 2
			for i := 0; n == 2 && i < 1000; i++ {
				pub.Send(request("PUBLISH", "c", long))
				b := make([]byte, 4)
				if _, err := io.ReadFull(pub, b); err != nil {
					t.Fatal(err)
				}
				n = int(b[1] - '0')
				fast.Expect(want)
			}
			if n != 1 {
				t.Fatal("the slow subscriber was not dropped")
			}
			if got, err := slow.Rest(); err == nil || err == io.EOF || !bytes.HasPrefix(got, []byte("*3")) {
				t.Errorf("the slow one got %d bytes and %v", len(got), err)
			}
		})
	}
}

// A client of RESP3 has its own form for what there is not, for pairs and for messages, and a
// subscriber may send any command. A message that it sends itself comes before the answer.
func TestRESP3(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			p := w.Peer(t, listen(t, r, new(kv.Server)), r)
			p.Send(request("HELLO", "3", "SETNAME", "me") + request("CLIENT", "GETNAME") + request("GET", "k") + request("CONFIG", "GET", "append*"))
			p.Expect("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n" +
				"$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n$2\r\nid\r\n:1\r\n$5\r\nproto\r\n:3\r\n" +
				"$2\r\nme\r\n_\r\n%1\r\n$10\r\nappendonly\r\n$2\r\nno\r\n")
			p.Send(request("SUBSCRIBE", "c") + request("GET", "k") + request("PUBLISH", "c", "m") + request("PING"))
			p.Expect(">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n_\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n:1\r\n+PONG\r\n")
			p.Send(request("HELLO", "2") + request("GET", "k"))
			p.Expect("*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n" +
				"$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n$2\r\nid\r\n:1\r\n$5\r\nproto\r\n:2\r\n" +
				"-ERR Can't execute 'get': only SUBSCRIBE, UNSUBSCRIBE, PING and QUIT are allowed in this context\r\n")
		})
	}
}

// A client that reads no answers is not read either, and gets all of them when it reads.
func TestHeldBack(t *testing.T) {
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			p := w.Peer(t, listen(t, r, new(kv.Server)), r) // ends beyond maxBuffered
			p.Send(request("SET", "k", strings.Repeat("v", 1000)))
			p.Expect("+OK\r\n")
			call, sent := []byte(strings.Repeat(request("GET", "k"), 100)), 0
			for stuck := 0; stuck < 50 && sent < 64<<20; {
				n, err := p.TryWrite(call[sent%len(call):])
				if sent += n; err != nil {
					stuck++
				}
				r.Turn(0)
			}
			if sent >= 64<<20 {
				t.Fatal("all was read")
			}
			whole := sent / (len(call) / 100)
			got := make([]byte, whole*1009)
			if _, err := io.ReadFull(p, got); err != nil || bytes.Count(got, []byte("$1000\r\n")) != whole {
				t.Error(err)
			}
		})
	}
}

// A drain closes clients at once, but lets a command in progress be completed.
func TestDrain(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			addr := listen(t, r, new(kv.Server))
			idle, busy := w.Peer(t, addr, r), w.Peer(t, addr, r)
			idle.Send(request("PING"))
			idle.Expect("+PONG\r\n")
			busy.Send(request("PING") + "*2\r\n$4\r\nEC")
			busy.Expect("+PONG\r\n")
			testworld.Turns(t, r, 20)
			aborted := -1
			r.Drain(reactor.DrainConfig{Done: func(n int) { aborted = n }})
			if _, err := idle.Rest(); err != io.EOF {
				t.Error(err)
			}
			busy.Send("HO\r\n$2\r\nhi\r\n" + request("PING"))
			if got, err := busy.Rest(); string(got) != "$2\r\nhi\r\n" || err != io.EOF {
				t.Errorf("got %q, %v", got, err)
			}
			testworld.Until(t, func() bool { return aborted >= 0 }, r)
			if aborted != 0 {
				t.Errorf("%d aborted", aborted)
			}
		})
	}
}
