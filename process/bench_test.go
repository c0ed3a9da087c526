//go:build unix

package process_test

import (
	"fmt"
	"io"
	"os/exec"
	"testing"

	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// firstOf is a reactor for a benchmark.
func firstOf(b *testing.B) *reactor.Reactor {
	for _, w := range testworld.Native() {
		return w.New(b, reactor.Config{})
	}
	panic("no kernel")
}

// Starting and reaping /bin/true with three pipes, one and sixteen at a time.
func BenchmarkSpawn(b *testing.B) {
	for _, most := range []int{1, 16} {
		b.Run(fmt.Sprintf("whorl/%d", most), func(b *testing.B) {
			r := firstOf(b)
			running, started := 0, 0
			cmd := process.NewCommand("/bin/true")
			for b.Loop() {
				for running >= most {
					if err := r.Turn(-1); err != nil {
						b.Fatal(err)
					}
				}
				started++
				running++
				w := &counted{&running}
				if _, err := process.Spawn(r, cmd, w); err != nil {
					b.Fatal(err)
				}
			}
			for running > 0 {
				r.Turn(-1)
			}
		})
		b.Run(fmt.Sprintf("exec/%d", most), func(b *testing.B) {
			places := make(chan bool, most)
			for b.Loop() {
				places <- true
				cmd := exec.Command("/bin/true")
				in, _ := cmd.StdinPipe()
				out, _ := cmd.StdoutPipe()
				errs, _ := cmd.StderrPipe()
				if err := cmd.Start(); err != nil {
					b.Fatal(err)
				}
				end := func() {
					io.Copy(io.Discard, out)
					io.Copy(io.Discard, errs)
					in.Close()
					cmd.Wait()
					<-places
				}
				if most == 1 {
					end()
				} else {
					go end()
				}
			}
			for range most {
				places <- true
			}
		})
	}
}

// counted counts the children that run.
type counted struct{ n *int }

func (c *counted) ChildMade(*process.Child) {}
func (c *counted) DataReceived(int, []byte) {}
func (c *counted) PipeLost(int, error)      {}
func (c *counted) Ended(s process.Status)   { *c.n-- }

const volume = 256 << 20

// 256 MiB through the pipes of cat.
func BenchmarkThrough(b *testing.B) {
	b.Run("whorl", func(b *testing.B) {
		b.SetBytes(volume)
		for b.Loop() {
			r := firstOf(b)
			w := &through{left: volume, piece: make([]byte, 64<<10)}
			c, err := process.Spawn(r, process.NewCommand("/bin/cat"), w)
			if err != nil {
				b.Fatal(err)
			}
			c.RegisterProducer(w)
			w.ResumeProducing()
			for !w.over {
				r.Turn(-1)
			}
			if w.got != volume || w.most > 1<<20 {
				b.Fatalf("%d bytes, at most %d buffered", w.got, w.most)
			}
		}
	})
	b.Run("exec", func(b *testing.B) {
		b.SetBytes(volume)
		for b.Loop() {
			cmd := exec.Command("/bin/cat")
			in, _ := cmd.StdinPipe()
			out, _ := cmd.StdoutPipe()
			if err := cmd.Start(); err != nil {
				b.Fatal(err)
			}
			go func() {
				io.Copy(in, io.LimitReader(zeros{}, volume))
				in.Close()
			}()
			if n, _ := io.Copy(io.Discard, out); n != volume {
				b.Fatal(n)
			}
			cmd.Wait()
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// through writes to its child as a producer, and counts what comes back.
type through struct {
	process.Base
	left, got, most int
	piece           []byte
	paused, over    bool
}

func (w *through) PauseProducing() { w.paused = true }
func (w *through) StopProducing()  { w.paused, w.left = true, 0 }
func (w *through) ResumeProducing() {
	w.paused = false
	for !w.paused && w.left > 0 {
		n := min(w.left, len(w.piece))
		w.left -= n
		w.C.Write(w.piece[:n])
		w.most = max(w.most, w.C.Transport(0).Buffered())
	}
	if w.left == 0 {
		w.C.UnregisterProducer()
		w.C.CloseStdin()
	}
}
func (w *through) DataReceived(_ int, p []byte) { w.got += len(p) }
func (w *through) Ended(process.Status)         { w.over = true }
