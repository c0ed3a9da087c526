//go:build unix

package process_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/process"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
)

// Bytes pass through a child whole and in order, however reads and writes are cut, and all are there at the end (PROC-23).
func TestTransfer(t *testing.T) {
	for name, world := range testworld.Chunked() {
		if world.Simulated() || raced && world.Chunk() > 1 {
			continue // children are real
		}
		t.Run(name, func(t *testing.T) {
			r := world.New(t, reactor.Config{})
			size := 3 << 20
			if world.Chunk() > 0 {
				size = 3000
			}
			sent := make([]byte, size)
			for i := range sent {
				sent[i] = byte(i * i >> 8)
			}
			w := new(watcher)
			cmd := sh("exec 4>&1; tee /dev/fd/4 | cat >&3; exit 8")
			cmd.Files = map[int]process.File{0: process.WritePipe(), 1: process.ReadPipe(), 3: process.ReadPipe()}
			c := spawn(t, r, cmd, w)
			c.Write(sent)
			c.CloseStdin()
			until(t, r, w.ended)
			if !bytes.Equal(w.got[1], sent) || !bytes.Equal(w.got[3], sent) || w.end.Code != 8 {
				t.Errorf("X-7, PROC-23: %d and %d bytes of %d came, %v", len(w.got[1]), len(w.got[3]), size, w.end)
			}
			if w.lost[0] != reactor.ErrClosed || w.lost[1] != io.EOF || w.lost[3] != io.EOF {
				t.Errorf("lost with %v", w.lost)
			}
		})
	}
}

// A failure after the program was started leaves nothing either: no process, no descriptor, no callback (PROC-16).
func TestSpawnFailsLate(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			leaktest.KeepsDescriptors(t)
			broken := errors.New("of the test")
			f := new(testworld.Faults)
			r := testworld.New(t, f.Wrap(world.Open(t)), reactor.Config{})
			for at := 1; at <= 3; at++ {
				n := 0
				f.Connected = func() error {
					if n++; n == at {
						return broken
					}
					return nil
				}
				w := new(watcher)
				if c, err := process.Spawn(r, sh("exec sleep 1000"), w); c != nil || !errors.Is(err, broken) {
					t.Errorf("PROC-16: %v, %v", c, err)
				}
				testworld.Turns(t, r, 3)
				if len(w.events) > 0 || r.Stats().Sources > 0 {
					t.Errorf("PROC-16: %v, %d sources", w.events, r.Stats().Sources)
				}
			}
			f.Connected = nil
			f.Arm = func(kernel.Ready) error { return broken } // the first is that of the exit
			w := new(watcher)
			if c, err := process.Spawn(r, sh("exec sleep 1000"), w); c != nil || !errors.Is(err, broken) {
				t.Errorf("PROC-16: %v, %v", c, err)
			}
			f.Arm = nil
			testworld.Turns(t, r, 3)
			if len(w.events) > 0 || r.Stats().Sources > 0 {
				t.Errorf("PROC-16: %v, %d sources", w.events, r.Stats().Sources)
			}
			f.Spawn = func() error { return broken }
			if c, err := process.Spawn(r, sh("exit 0"), w); c != nil || !errors.Is(err, broken) {
				t.Errorf("%v, %v", c, err)
			}
			noChildren(t)
		})
	}
}

// A kernel that cannot start programs says so.
func TestSpawnUnsupported(t *testing.T) {
	k := &mute{}
	for _, w := range testworld.Native() {
		k.Kernel = w.Open(t)
		break
	}
	r := testworld.New(t, k, reactor.Config{})
	if _, err := process.Spawn(r, sh("exit 0"), new(watcher)); !errors.Is(err, kernel.ErrUnsupported) {
		t.Error(err)
	}
}

// mute is a kernel without capabilities.
type mute struct{ kernel.Kernel }

// late is a kernel whose Spawn returns when the child has exited.
type late struct {
	kernel.Kernel
	t *testing.T
}

func (k *late) Unwrap() kernel.Kernel { return k.Kernel }

func (k *late) LookPath(name string) (string, error) { return name, nil }

func (k *late) Spawn(c *kernel.ChildCommand) (kernel.Child, error) {
	s, _ := kernel.As[kernel.Spawner](k.Kernel)
	x, err := s.Spawn(c)
	if err == nil {
		awaitZombie(k.t, x.Pid())
	}
	return x, err
}

// PROC-19: a child that is dead when Spawn connects its pipes is told of like any other.
func TestSpawnOfTheDead(t *testing.T) {
	for name, world := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := testworld.New(t, &late{world.Open(t), t}, reactor.Config{})
			w := new(watcher)
			c := spawn(t, r, sh("echo last words; exit 2"), w)
			if len(w.events) != 1 {
				t.Errorf("PROC-19: inside Spawn %v", w.events)
			}
			if err := c.KillGroup(0); !errors.Is(err, kernel.ErrUnsupported) {
				t.Error(err)
			}
			until(t, r, w.ended)
			if w.end.Code != 2 || string(w.got[1]) != "last words\n" || w.lost[0] != io.EOF || w.lost[2] != io.EOF {
				t.Errorf("PROC-19: %v, %q, lost %v", w.end, w.got[1], w.lost)
			}
		})
	}
}

// unwell is a kernel whose children cannot be waited for.
type unwell struct {
	kernel.Kernel
	err error
}

func (k *unwell) Unwrap() kernel.Kernel { return k.Kernel }

func (k *unwell) LookPath(name string) (string, error) { return name, nil }

func (k *unwell) Spawn(c *kernel.ChildCommand) (kernel.Child, error) {
	s, _ := kernel.As[kernel.Spawner](k.Kernel)
	x, err := s.Spawn(c)
	if err != nil {
		return nil, err
	}
	return &unwellChild{x, k.err}, nil
}

func (k *unwell) Arm(h kernel.Handle, token uint32, r kernel.Ready) error {
	if x, ok := h.(*unwellChild); ok {
		h = x.Child
	}
	return k.Kernel.Arm(h, token, r)
}

type unwellChild struct {
	kernel.Child
	err error
}

func (c *unwellChild) Wait() (kernel.Exit, bool, error) {
	c.Child.Wait()
	return kernel.Exit{Code: -1, Unknown: true}, true, c.err
}

// PROC-44: an error of the wait is logged, unless it says that there is no such child, and the end is told.
func TestWaitFails(t *testing.T) {
	for _, world := range testworld.Native() {
		for _, failure := range []error{syscall.EIO, syscall.ECHILD} {
			var log bytes.Buffer
			r := testworld.New(t, &unwell{world.Open(t), failure}, reactor.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			w := run(t, r, sh("exit 0"), new(watcher))
			if !w.end.Unknown || !errors.Is(*w.end, failure) || *w.exit != *w.end {
				t.Errorf("PROC-44: %+v", w.end)
			}
			if logged := strings.Contains(log.String(), "waiting for a child"); logged != (failure == syscall.EIO) {
				t.Errorf("PROC-44: of %v the log has %q", failure, log.String())
			}
		}
		break
	}
}
