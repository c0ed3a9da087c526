package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"
)

// goodClients makes TLS connections one after another, four at a time, each with an echo, until
// stop is closed. The result is called to wait for their end.
func (w *world) goodClients(c *tls.Config, stop <-chan bool) (wait func()) {
	ended := make(chan bool)
	var worst atomic.Int64
	go func() {
		defer close(ended)
		each(4, func(g int) {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				start := time.Now()
				t, err := dialTLS(w.hello.TLS, fmt.Sprintf("127.0.3.%d", g+1), "echo\n", c)
				if err == nil {
					err = w.echoOnce(t, i)
					t.Close()
				}
				if err != nil {
					err = fmt.Errorf("a good TLS client: %w", err)
				}
				w.one(err)
				for took := int64(time.Since(start)); ; {
					if old := worst.Load(); took <= old || worst.CompareAndSwap(old, took) {
						break
					}
				}
			}
		})
	}()
	return func() {
		<-ended
		w.note("good TLS clients: %d, the slowest took %s ms", w.Due, ms(time.Duration(worst.Load())))
	}
}

// helloFlood is the scenario of hellos from one address.
func helloFlood(w *world) error {
	most := 256
	if w.short {
		most = 64
	}
	n := w.size(1000, 200, 1)
	w.Did = fmt.Sprintf("%d whole ClientHellos from one address, of which %d may wait", n, most)
	return w.floodHellos(n, most, func(int) string { return "127.0.2.1" }, n-most)
}

// helloFloodMany is the scenario of hellos from many addresses. They are less than
// MaxPendingHandshakes, so nobody is refused.
func helloFloodMany(w *world) error {
	n := w.size(900, 200, 1)
	w.Did = fmt.Sprintf("%d whole ClientHellos from 225 addresses", n)
	return w.floodHellos(n, 256, func(i int) string { return fmt.Sprintf("127.0.2.%d", 1+i%225) }, 0)
}

// floodHellos sends n hellos at once, of which the server must refuse so many at once. The
// others get its answer, do not go on, and reset when all have been heard.
func (w *world) floodHellos(n, most int, from func(int) string, refuse int) error {
	pair, client, err := newKeyPair()
	if err != nil {
		return err
	}
	hello := clientHello(client)
	var answered, refused atomic.Int64
	err = w.run(serverSpec{TLS: pair, PerPeer: most}, func(int) error {
		stop := make(chan bool)
		wait := w.goodClients(client, stop)
		all := answered.Load() + refused.Load() + int64(n)
		stay := func() { // until each client was answered or refused, and a moment longer
			for end := time.Now().Add(clientMay); answered.Load()+refused.Load() < all && time.Now().Before(end); {
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(300 * time.Millisecond)
		}
		each(n, func(i int) {
			c, err := dial(w.hello.TLS, from(i), string(hello))
			if err == nil {
				defer c.Close()
				_, err = c.Read(make([]byte, 1))
			}
			switch {
			case err == nil:
				answered.Add(1)
				stay() // the handshake waits for this client
				reset(c)
			case errors.Is(err, os.ErrDeadlineExceeded):
				w.fail("hello %d got neither an answer nor an end", i)
			default:
				refused.Add(1)
			}
		})
		close(stop)
		wait()
		return nil
	})
	w.note("%d were answered and %d refused", answered.Load(), refused.Load())
	if got := refused.Load(); err == nil && got < int64(refuse) {
		w.fail("%d hellos were refused, of %d that are too many", got, refuse)
	} else if got > 0 && refuse == 0 {
		w.fail("%d hellos were refused although they were not too many", got)
	}
	return err
}

// recordFlood is the scenario of records that are as much work as possible for what they carry.
func recordFlood(w *world) error {
	pair, client, err := newKeyPair()
	if err != nil {
		return err
	}
	records, updates := 20_000, 4_000
	if w.short {
		records, updates = 4_000, 800
	}
	w.Did = fmt.Sprintf("8 clients sent %d records of one byte, 8 sent %d KeyUpdates with a byte behind each, 8 sent as many KeyUpdates alone", records, updates)
	return w.run(serverSpec{TLS: pair}, func(int) error {
		stop := make(chan bool)
		wait := w.goodClients(client, stop)
		each(24, func(i int) {
			switch i % 3 {
			case 0:
				w.one(w.oneByteRecords(client, i, records))
			case 1:
				w.one(w.keyUpdates(client, i, updates))
			case 2:
				w.one(w.uselessUpdates(client, updates))
			}
		})
		close(stop)
		wait()
		return nil
	})
}

// oneByteRecords sends n bytes in as many records, and reads the echo.
func (w *world) oneByteRecords(config *tls.Config, seed, n int) error {
	raw, err := dial(w.hello.TLS, "", "")
	if err != nil {
		return err
	}
	defer raw.Close()
	b := &batched{Conn: raw}
	t := tls.Client(b, config)
	if err := t.Handshake(); err != nil {
		return err
	}
	go func() {
		_, err := t.Write([]byte("echo\n"))
		b.on = true
		for i := 0; i < n && err == nil; i++ {
			_, err = t.Write(piece(seed, int64(i), 1))
		}
		_, _ = raw.Write(b.held) // a failure is seen by the reader
	}()
	v := verifier{seed: seed}
	err = v.readPattern(t, int64(n))
	w.count(0, 0, v.wrong)
	return err
}

// batched collects what is written when it is on, so that many records leave together.
type batched struct {
	net.Conn
	on   bool
	held []byte
}

func (b *batched) Write(p []byte) (int, error) {
	if !b.on {
		return b.Conn.Write(p)
	}
	if b.held = append(b.held, p...); len(b.held) < 64<<10 {
		return len(p), nil
	}
	_, err := b.Conn.Write(b.held)
	b.held = b.held[:0]
	return len(p), err
}

// forged makes a TLS connection whose records the caller writes.
func (w *world) forged(config *tls.Config) (*net.TCPConn, *tls.Conn, *forger, error) {
	raw, err := dial(w.hello.TLS, "", "")
	if err != nil {
		return nil, nil, nil, err
	}
	var keys bytes.Buffer
	config = config.Clone()
	config.KeyLogWriter = &keys
	t := tls.Client(raw, config)
	var f *forger
	if err = t.Handshake(); err == nil {
		f, err = newForger(t.ConnectionState(), &keys)
	}
	if err != nil {
		raw.Close()
	}
	return raw, t, f, err
}

// keyUpdates sends n KeyUpdates with a byte behind each, and reads the echo.
func (w *world) keyUpdates(config *tls.Config, seed, n int) error {
	raw, t, f, err := w.forged(config)
	if errors.Is(err, errOtherSuite) {
		w.note("no KeyUpdates: %v", err)
		return nil
	} else if err != nil {
		return err
	}
	defer raw.Close()
	go func() {
		batch := f.seal(recordData, []byte("echo\n"))
		for i := range n {
			update, err := f.keyUpdate(byte(i % 2))
			if err != nil {
				return
			}
			batch = append(append(batch, update...), f.seal(recordData, piece(seed, int64(i), 1))...)
			if len(batch) > 64<<10 || i == n-1 {
				if _, err := raw.Write(batch); err != nil {
					return
				}
				batch = batch[:0]
			}
		}
	}()
	v := verifier{seed: seed}
	err = v.readPattern(t, int64(n))
	w.count(0, 0, v.wrong)
	return err
}

// uselessUpdates sends n KeyUpdates alone, half of which want an answer, and resets. The server
// may end the connection before.
func (w *world) uselessUpdates(config *tls.Config, n int) error {
	raw, _, f, err := w.forged(config)
	if errors.Is(err, errOtherSuite) {
		return nil
	} else if err != nil {
		return err
	}
	defer reset(raw)
	for i := range n {
		update, err := f.keyUpdate(byte(i % 2))
		if err != nil {
			return err
		}
		if _, err := raw.Write(update); err != nil {
			return nil
		}
	}
	return nil
}
