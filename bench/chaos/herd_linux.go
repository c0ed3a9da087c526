package main

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// herd is the scenario of many clients at once.
func herd(w *world) error {
	n := w.size(2000, 300, 1)
	w.Did = fmt.Sprintf("%d clients connected at once, had 200 bytes echoed, and closed at once", n)
	return w.run(serverSpec{}, func(int) error {
		start, end := make(chan bool), make(chan bool)
		var ready atomic.Int32
		go func() {
			close(start)
			for until := time.Now().Add(clientMay); int(ready.Load()) < n && time.Now().Before(until); {
				time.Sleep(time.Millisecond)
			}
			close(end)
		}()
		each(n, func(i int) {
			<-start
			c, err := dial(w.hello.Main, "", "echo\n")
			if err == nil {
				err = w.echoOnce(c, i)
			}
			ready.Add(1)
			<-end
			if c != nil {
				c.Close()
			}
			if err != nil {
				err = fmt.Errorf("client %d: %w", i, err)
			}
			w.one(err)
		})
		return nil
	})
}

// closeAtOnce is the scenario of many clients that close at one moment.
func closeAtOnce(w *world) error {
	n := w.size(10_000, 300, 1)
	w.Did = fmt.Sprintf("%d clients, which had 200 bytes echoed, closed at once", n)
	return w.run(serverSpec{}, func(int) error {
		clients := make([]net.Conn, n)
		const together = 100 // that connect
		each(together, func(g int) {
			for i := g; i < n; i += together {
				c, err := dial(w.hello.Main, "", "echo\n")
				if err == nil {
					clients[i] = c
					err = w.echoOnce(c, i)
				}
				if err != nil {
					err = fmt.Errorf("client %d: %w", i, err)
				}
				w.one(err)
			}
		})
		if _, err := w.figures("figures"); err != nil { // what comes now is measured apart
			return err
		}
		start := time.Now()
		for _, c := range clients {
			if c != nil {
				c.Close()
			}
		}
		closed := time.Since(start)
		if _, err := w.gone(settles); err != nil {
			return err
		}
		w.note("closing took the clients %s ms, and the server noticed within %s ms", ms(closed), ms(time.Since(start)))
		return nil
	})
}

// timers is the scenario of delayed calls that are due together.
func timers(w *world) error {
	n := 100_000
	if w.short {
		n = 20_000
	}
	w.Did = fmt.Sprintf("%d delayed calls were due at one moment", n)
	return w.run(serverSpec{}, func(int) error {
		c, err := dial(w.hello.Main, "", fmt.Sprintf("timers %d 500\n", n))
		if err == nil {
			defer c.Close()
			var all []byte
			if all, err = io.ReadAll(c); err == nil && string(all) != "ok" {
				err = fmt.Errorf("the answer is %q", all)
			}
		}
		w.one(err)
		return nil
	})
}

// echoOnce sends 200 bytes on a connection that echoes, and compares the answer.
func (w *world) echoOnce(c net.Conn, seed int) error {
	const n = 200
	if err := writePattern(c, seed, n); err != nil {
		return err
	}
	v := verifier{seed: seed}
	err := v.readPattern(c, n)
	w.count(0, 0, v.wrong)
	return err
}

// transfer reads the n bytes of the stream of seed and then the end. It counts bytes.
func (w *world) transfer(c net.Conn, v *verifier, n int64) {
	err := v.readPattern(c, n-v.got)
	if err == nil {
		if _, err = c.Read(make([]byte, 1)); err == io.EOF {
			err = nil
		} else if err == nil {
			err = errWrong
		}
	}
	if err != nil {
		w.fail("client %d, after %d of %d bytes: %v", v.seed, v.got, n, err)
	}
	w.count(n, v.got, v.wrong)
}

// slowReaders is the scenario of clients that stop reading in the middle.
func slowReaders(w *world) error {
	// By itself the system takes up to 4 MiB of each, which the server does not hold, and the memory of a small machine is not enough.
	const buffer, patience = 256 << 10, 90 * time.Second
	size := int64(8 << 20)
	n := w.size(1000, 20, 1)
	pause := 2 * time.Second
	if w.short {
		pause = 300 * time.Millisecond
	}
	w.Unit = "bytes"
	on := min(n, 200)
	w.Did = fmt.Sprintf("%d clients asked for %d MiB and stopped after 100 KB; after %v %d went on, and the others reset", n, size>>20, pause, on)
	return w.run(serverSpec{SendBuffer: buffer}, func(int) error {
		clients := w.halfRead(n, size, on)
		if _, err := ask[trips](w.by, "take"); err != nil {
			return err
		}
		time.Sleep(pause)
		t, err := ask[trips](w.by, "take")
		if err != nil {
			return err
		}
		w.note("while they were stopped, bystanders had %v ms, and %v before", t, w.Quiet)
		if err := w.bounded(n); err != nil {
			return err
		}
		each(len(clients), func(i int) {
			c := clients[i]
			switch {
			case c.conn == nil:
			case i >= on:
				reset(c.conn)
			default:
				_ = c.conn.SetDeadline(time.Now().Add(patience))
				w.transfer(c.conn, &c.v, size)
				c.conn.Close()
			}
		})
		return nil
	})
}

// halfReader is a client that has stopped.
type halfReader struct {
	conn *net.TCPConn
	v    verifier
}

// halfRead connects n clients that ask for size bytes each, and read 100 KB. Their small
// receive buffers leave the rest to the server. The first on of them are to go on later.
func (w *world) halfRead(n int, size int64, on int) []*halfReader {
	all := make([]*halfReader, n)
	each(n, func(i int) {
		all[i] = &halfReader{v: verifier{seed: i}}
		c, err := dialSmall(w.hello.Main, fmt.Sprintf("push %d %d\n", i, size))
		if err == nil {
			err = all[i].v.readPattern(c, 100_000)
		}
		if err != nil {
			w.fail("client %d: %v", i, err)
			if i < on {
				w.count(size, 0, 0)
			}
			return
		}
		all[i].conn = c
	})
	return all
}

// bounded fails if the server keeps more for n stopped readers than its marks allow: HighWater,
// one write beyond it, and the unfilled part of a chunk.
func (w *world) bounded(n int) error {
	const most = 64<<10 + 32<<10 + 16<<10
	s, err := w.figures("memory")
	if err != nil {
		return err
	}
	grown := int64(s.Heap) - int64(w.Before.Heap)
	w.note("the server held %d KiB for each stopped reader", grown/int64(n)>>10)
	if limit := int64(n)*most + heapMore; grown > limit {
		w.fail("the heap has grown by %d KiB for %d stopped readers; the limit is %d KiB", grown>>10, n, limit>>10)
	}
	return nil
}

// stuckReaders is the scenario of clients that never go on.
func stuckReaders(w *world) error {
	const limit = 500 * time.Millisecond
	n := w.size(40, 10, 1)
	w.Did = fmt.Sprintf("%d clients asked for 6 MiB, read 100 KB and stopped; CloseTimeout is %v", n, limit)
	return w.run(serverSpec{CloseTimeout: limit}, func(int) error {
		clients := make([]*net.TCPConn, n)
		each(n, func(i int) {
			c, err := dialSmall(w.hello.Main, fmt.Sprintf("get %d %d\n", i, 6<<20))
			v := verifier{seed: i}
			if err == nil {
				err = v.readPattern(c, 100_000)
			}
			if err != nil {
				w.fail("client %d: %v", i, err)
			}
			w.count(0, 0, v.wrong)
			clients[i] = c
		})
		took, err := w.gone(settles)
		if err != nil {
			return err
		}
		w.note("ended after %v", took.Round(10*time.Millisecond))
		each(n, func(i int) {
			if clients[i] != nil {
				// A cut stream must not look whole.
				_, err := io.Copy(io.Discard, clients[i])
				clients[i].Close()
				if err == nil {
					err = fmt.Errorf("client %d was cut off, and saw an orderly end", i)
				} else {
					err = nil
				}
				w.one(err)
			}
		})
		return nil
	})
}

// gone waits until the server has no connection but those of the bystanders, and returns how
// long that took.
func (w *world) gone(limit time.Duration) (time.Duration, error) {
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		s, err := w.figures("figures")
		if took := time.Since(start); err != nil || s.Streams <= w.Before.Streams {
			return took, err
		} else if took > limit {
			w.fail("after %v the server still has %d connections: %s", limit, s.Streams-w.Before.Streams, s.Verbs)
			return took, nil
		}
	}
}
