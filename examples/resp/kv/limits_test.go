package kv_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/examples/resp/kv"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/testworld/double"
)

// What a client must not send is answered with an error, and the connection ends.
func TestLimits(t *testing.T) {
	for name, w := range testworld.Chunked() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			addr := listen(t, r, &kv.Server{MaxArgs: 3, MaxBulk: 10, MaxRequest: 30})
			for _, c := range []struct{ call, why string }{
				{"*4\r\n", "invalid multibulk length"},
				{"*x\r\n", "invalid multibulk length"},
				{"*1\rx", "invalid multibulk length"},
				{"*1\r\nPING\r\n", "expected '$'"},
				{"*1\r\n$-1\r\n", "invalid bulk length"},
				{"*1\r\n$\r\n", "invalid bulk length"},
				{"*1\r\n$11\r\n", "invalid bulk length"},
				{"*1\r\n$99999999999999999999\r\n", "invalid bulk length"},
				{"*2\r\n$10\r\n0123456789\r\n$6\r\n", "invalid bulk length"},
				{"*1\r\n$4\r\nPINGxx", "expected the end of an argument"},
				{strings.Repeat("x", 17000), "line too long"},
			} {
				p := w.Peer(t, addr, r)
				p.Send(request("PING") + c.call)
				if got, err := p.Rest(); string(got) != "+PONG\r\n-ERR Protocol error: "+c.why+"\r\n" || err != io.EOF {
					t.Errorf("%.20q: got %q, %v", c.call, got, err)
				}
			}
		})
	}
}

// When the memory for keys is full, what needs more is an error, and everything else goes on.
func TestMemory(t *testing.T) {
	const oom = "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
	simulated(t, func(w testworld.World, r *reactor.Reactor) {
		p := w.Peer(t, listen(t, r, &kv.Server{MaxMemory: 900, MaxBulk: 300}), r)
		p.Send(request("SET", "k", strings.Repeat("v", 300)) + request("APPEND", "k", "v") + request("SET", "l", strings.Repeat("v", 300)))
		p.Expect("+OK\r\n-ERR string exceeds maximum allowed size\r\n" + oom)
		for n := range 10 { // what is removed, overwritten and expired is free again
			key := fmt.Sprint("key", n)
			p.Send(request("SET", key, "v", "EX", "1") + request("SET", "k", "w") + request("APPEND", "k", strings.Repeat("w", 200)))
			p.Expect("+OK\r\n+OK\r\n:201\r\n")
			if n%2 == 0 {
				p.Send(request("DEL", key))
				p.Expect(":1\r\n")
			}
			wait(r, 2*time.Second)
		}
		p.Send(request("FLUSHALL") + request("INFO"))
		p.Expect("+OK\r\n$134\r\n# Server\r\nredis_version:7.0.0\r\n# Memory\r\nused_memory:0\r\nmaxmemory:900\r\n# Stats\r\ntotal_connections_received:1\r\n# Keyspace\r\ndb0:keys=0\r\n\r\n")
	})
}

// Names of clients and channels, and the channels of a client, are bounded.
func TestNames(t *testing.T) {
	simulated(t, func(w testworld.World, r *reactor.Reactor) {
		p := w.Peer(t, listen(t, r, &kv.Server{MaxChannels: 2}), r)
		p.Send(request("HELLO", "3", "SETNAME", strings.Repeat("x", 1025)) + request("SUBSCRIBE", strings.Repeat("x", 1025)) + request("SUBSCRIBE", "a", "b", "c"))
		p.Expect("-ERR syntax error in HELLO option 'SETNAME'\r\n-ERR too many channels, or too long a name\r\n" +
			"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n-ERR too many channels, or too long a name\r\n")
	})
}

// A scan with any number of changes in between sees each key that stays. Removed, all leave nothing.
func TestScan(t *testing.T) {
	simulated(t, func(w testworld.World, r *reactor.Reactor) {
		p := w.Peer(t, listen(t, r, new(kv.Server)), r)
		for n := range 100 {
			p.Send(request("SET", fmt.Sprint("k", n), ""))
			p.Expect("+OK\r\n")
		}
		seen := map[string]bool{}
		for cursor, step := "0", 0; step == 0 || cursor != "0"; step++ {
			p.Send(request("SCAN", cursor, "COUNT", "7"))
			head := lines(t, p, 4) // *2, the length of the cursor, the cursor, how many keys
			n := 0
			fmt.Sscanf(head[3], "*%d", &n)
			cursor = head[2]
			for _, key := range lines(t, p, 2*n) {
				seen[key] = true
			}
			p.Send(request("DEL", fmt.Sprint("k", 3*step)) + request("SET", fmt.Sprint("new", step), ""))
			p.Expect(":1\r\n+OK\r\n")
		}
		for n := range 100 {
			if key := fmt.Sprint("k", n); n%3 != 0 && !seen[key] {
				t.Errorf("%s was not seen", key)
			}
		}
		p.Send(request("DBSIZE") + request("KEYS", "*"))
		keys := lines(t, p, 2+2*100)[2:]
		for i := range keys {
			if i%2 == 1 { // below its length
				p.Send(request("DEL", keys[i]))
				p.Expect(":1\r\n")
			}
		}
		p.Send(request("KEYS", "*") + request("INFO"))
		p.Expect("*0\r\n")
		if info := lines(t, p, 11); !slices.Contains(info, "used_memory:0") || !slices.Contains(info, "db0:keys=0") {
			t.Errorf("after all keys were removed: %q", info)
		}
	})
}

// A pattern that would have to be tried at each byte of a long key is an error, at once, and a scan of long keys goes through few.
func TestPatterns(t *testing.T) {
	simulated(t, func(w testworld.World, r *reactor.Reactor) {
		p := w.Peer(t, listen(t, r, new(kv.Server)), r)
		long := strings.Repeat("a", 40_000)
		for n := range 5 {
			p.Send(request("SET", fmt.Sprint(long, n), ""))
			p.Expect("+OK\r\n")
		}
		for _, part := range []string{"a", "?", "[a]", "[^b-c]", "\\a"} {
			pattern := "*" + strings.Repeat(part, 1000/len(part)) + "b"
			p.Send(request("KEYS", pattern) + request("SCAN", "0", "MATCH", pattern))
			p.Expect("-ERR the pattern takes too long\r\n-ERR the pattern takes too long\r\n")
		}
		p.Send(request("KEYS", "*"+strings.Repeat("[ab]", 10)+"3"))
		p.Expect(fmt.Sprintf("*1\r\n$40001\r\n%s3\r\n", long))
		for cursor, want := range []string{"3", "0", "1"} { // the cursors 0, 1 and 3
			from := []string{"0", "1", "3"}[cursor]
			p.Send(request("SCAN", from, "MATCH", "b*"))
			p.Expect("*2\r\n$1\r\n" + want + "\r\n*0\r\n")
		}
	})
}

// The memory in use is that of a simple model, whatever commands come.
func TestMemoryModel(t *testing.T) {
	simulated(t, func(w testworld.World, r *reactor.Reactor) {
		p := w.Peer(t, listen(t, r, new(kv.Server)), r)
		random, model := rand.New(rand.NewPCG(1, 2)), map[string]string{}
		add := func(key string) {
			n, _ := strconv.Atoi(model[key])
			model[key] = strconv.Itoa(n + 7)
		}
		for step := range 3000 {
			key, value := fmt.Sprint("key", random.IntN(20)), strings.Repeat("1", random.IntN(9))
			switch random.IntN(9) {
			case 0:
				p.Send(request("SET", key, value, "EX", "9223372036"))
				model[key] = value
			case 1:
				p.Send(request("MSET", key, value, "other", value))
				model[key], model["other"] = value, value
			case 2:
				p.Send(request("APPEND", key, value))
				model[key] += value
				if len(model[key]) > 10 {
					p.Send(request("SET", key, ""))
					model[key] = ""
				}
			case 3:
				if model[key] != "" {
					p.Send(request("INCRBY", key, "7"))
					add(key)
				}
			case 4:
				p.Send(request("DEL", key, "other", key))
				delete(model, key)
				delete(model, "other")
			case 5:
				p.Send(request("EXPIRE", key, "-1"))
				delete(model, key)
			case 6:
				p.Send(request("PERSIST", key) + request("EXPIRE", key, "100"))
			case 7:
				p.Send(request("PEXPIRE", key, "5"))
				wait(r, time.Second)
				delete(model, key)
			case 8:
				if random.IntN(20) == 0 {
					p.Send(request("FLUSHALL"))
					clear(model)
				}
			}
			if step%10 > 0 {
				continue
			}
			used := 0
			for key, value := range model {
				used += 100 + len(key) + len(value)
			}
			p.Send(request("ECHO", "the end") + request("INFO"))
			for lines(t, p, 1)[0] != "the" {
			}
			if info := lines(t, p, 11); !slices.Contains(info, fmt.Sprint("used_memory:", used)) || !slices.Contains(info, fmt.Sprint("db0:keys=", len(model))) {
				t.Fatalf("step %d: %q, want %d bytes of %d keys", step, info, used, len(model))
			}
		}
	})
}

// lines reads n lines.
func lines(t *testing.T, p *testworld.Peer, n int) []string {
	t.Helper()
	got := ""
	for b := make([]byte, 1); n > 0; {
		if _, err := p.Read(b); err != nil {
			t.Fatal(err)
		}
		if got += string(b); b[0] == '\n' {
			n--
		}
	}
	return strings.Fields(got)
}

// counting counts writes, and keeps nothing of them.
type counting struct {
	*double.Transport
	writes, size int
}

func (c *counting) Write(p []byte) (int, error) {
	c.writes++
	c.size += len(p)
	return len(p), nil
}

// What comes together is answered in one write. A GET, and a SET of a key that is there, cost no memory.
func TestCost(t *testing.T) {
	for _, c := range []struct{ call, answer string }{
		{request("GET", "k"), "$5\r\nvalue\r\n"},
		{request("get", "none"), "$-1\r\n"},
		{request("SET", "k", "value"), "+OK\r\n"},
		{request("INCR", "n"), ":1000\r\n"},
	} {
		x := &counting{Transport: double.NewTransport(t, nil)}
		p := new(kv.Server).BuildProtocol(x.Remote())
		p.ConnectionMade(x)
		p.DataReceived([]byte(request("SET", "k", "value") + request("SET", "n", "1000")))
		calls := []byte(strings.Repeat(c.call, 16))
		x.writes, x.size = 0, 0
		if n := testing.AllocsPerRun(10, func() { p.DataReceived(calls) }); n != 0 {
			t.Errorf("%q: %v allocations, want 0", c.call, n)
		}
		if x.writes != 11 || x.size != 11*16*len(c.answer) {
			t.Errorf("%q: %d writes, %d bytes", c.call, x.writes, x.size)
		}
		p.ConnectionLost(reactor.ErrClosed)
	}
}
