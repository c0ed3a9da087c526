package device_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// line is a serial port, which is a pseudo-terminal with socat and another address at the far end.
func line(t *testing.T, far string) (path string, socat *exec.Cmd) {
	t.Helper()
	if _, err := exec.LookPath("socat"); err != nil {
		t.Skip(err)
	}
	path = filepath.Join(t.TempDir(), "tty")
	log := path + ".log"
	socat = exec.Command("socat", "-b", "4096", "-d", "-d", "-lf", log, "PTY,raw,echo=0,link="+path, far)
	do(t, socat.Start())
	t.Cleanup(func() {
		_ = socat.Process.Kill()
		_ = socat.Wait()
	})
	// The link is there before socat has set the terminal, which would undo what a test sets meanwhile.
	for start := time.Now(); ; _, _ = unix.Poll(nil, 1) {
		said, _ := os.ReadFile(log)
		if bytes.Contains(said, []byte("starting data transfer loop")) {
			return path, socat
		}
		if time.Since(start) > testworld.Limit {
			t.Fatalf("socat has not begun: %s", said)
		}
	}
}

// end is a protocol that keeps what it hears.
type end struct {
	reactor.Base
	got  []byte
	made int
	lost []error
}

func (e *end) ConnectionMade(t reactor.Transport) {
	e.Base.ConnectionMade(t)
	e.made++
}
func (e *end) DataReceived(p []byte)    { e.got = append(e.got, p...) }
func (e *end) ConnectionLost(err error) { e.lost = append(e.lost, err) }

// attach opens a port and puts a protocol on it. The reactor runs, so that it has workers.
func attach(t *testing.T, r *reactor.Reactor, path string, c device.SerialConfig) (*device.Serial, *end) {
	t.Helper()
	s, err := device.OpenSerial(path, c)
	do(t, err)
	e := new(end)
	_, err = s.Attach(r, e, nil)
	do(t, err)
	if e.made != 1 {
		t.Error("SERIAL-1: no ConnectionMade")
	}
	return s, e
}

// SERIAL-1, SERIAL-2: all bytes pass both ways, Close sends what was written, closes the port, and sets it back.
func TestSerialTransfer(t *testing.T) {
	worlds(t, func(t *testing.T, r *reactor.Reactor) {
		path, _ := line(t, "EXEC:cat")
		keep, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
		do(t, err)
		defer keep.Close()
		state := func() unix.Termios {
			tio, err := unix.IoctlGetTermios(int(keep.Fd()), unix.TCGETS2)
			do(t, err)
			return *tio
		}
		before := state()
		leaktest.KeepsDescriptors(t)
		s, e := attach(t, r, path, device.SerialConfig{Baud: 250000})
		if now := state(); now == before || now.Cc[unix.VMIN] != 1 || now.Cc[unix.VTIME] != 0 {
			t.Errorf("opening has set %+v", now)
		}
		data := make([]byte, 100_000)
		for i := range data {
			data[i] = byte(i * i >> 3)
		}
		e.T.Write(data)
		testworld.Until(t, func() bool { return len(e.got) == len(data) }, r)
		if !bytes.Equal(e.got, data) {
			t.Error("SERIAL-1: other bytes came back")
		}
		if c, err := s.Config(); err != nil || c.Baud != 250000 || c.DataBits != 8 || c.StopBits != 1 || c.HardFlow || c.SoftFlow {
			t.Errorf("SERIAL-1: settings %+v, %v", c, err)
		}
		do(t, s.SetBaud(19200))
		do(t, s.SetConfig(device.SerialConfig{StopBits: 2, HardFlow: true, SoftFlow: true}))
		if c, err := s.Config(); err != nil || c.Baud != 9600 || c.StopBits != 2 || !c.HardFlow || !c.SoftFlow {
			t.Errorf("SERIAL-1: settings %+v, %v", c, err)
		}
		e.T.Close()
		testworld.Until(t, func() bool { return len(e.lost) > 0 }, r)
		for end := r.Now() + testworld.Limit; state() != before; {
			if r.Now() > end {
				t.Fatalf("SERIAL-1: the port is left as %+v, it was %+v", state(), before)
			}
			_, _ = unix.Poll(nil, 1)
		}
		testworld.Turns(t, r, 3)
		if len(e.lost) != 1 || e.lost[0] != reactor.ErrClosed {
			t.Errorf("SERIAL-2: lost %v", e.lost)
		}
		_, linesErr := s.Lines()
		for _, err := range []error{s.SetBaud(1), s.Flush(true, true), linesErr} {
			if err != kernel.ErrClosed {
				t.Errorf("after the end: %v", err)
			}
		}
	})
}

// SERIAL-1: the defaults, flushing, what waits, breaks; what a pseudo-terminal lacks is ErrUnsupported.
func TestSerialControl(t *testing.T) {
	begin := filepath.Join(t.TempDir(), "begin")
	path, _ := line(t, "SYSTEM:until [ -e "+begin+" ]; do sleep .01; done; printf hello; while [ -e "+begin+" ]; do sleep .1; done")
	s, err := device.OpenSerial(path, device.SerialConfig{})
	do(t, err)
	defer s.Close()
	do(t, os.WriteFile(begin, nil, 0o600)) // what had come before would not count for a port that is opened
	c, err := s.Config()
	if err != nil || c.Baud != 9600 || c.DataBits != 8 || c.Parity != device.NoParity || c.StopBits != 1 || c.HardFlow || c.SoftFlow {
		t.Errorf("SERIAL-1: defaults %+v, %v", c, err)
	}
	waiting := 0
	for end := time.Now().Add(testworld.Limit); waiting < 5; _, _ = unix.Poll(nil, 1) {
		if waiting, _, err = s.Waiting(); err != nil || time.Now().After(end) {
			t.Fatalf("%d bytes wait, %v", waiting, err)
		}
	}
	do(t, s.Flush(false, true))
	if n, _, err := s.Waiting(); n != 5 || err != nil {
		t.Errorf("SERIAL-1: %d bytes wait, %v", n, err)
	}
	do(t, s.Flush(true, false))
	if n, out, err := s.Waiting(); n != 0 || out != 0 || err != nil {
		t.Errorf("SERIAL-1: after Flush %d bytes wait, %v", n, err)
	}
	do(t, s.SetBreak(true))
	do(t, s.SetBreak(false))
	if _, err := s.Lines(); !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, device.ErrUnsupported) || !errors.Is(err, unix.ENOTTY) {
		t.Errorf("SERIAL-1: lines of a pseudo-terminal: %v", err)
	}
	if err := s.SetLines(device.DTR|device.RTS, device.RTS); !errors.Is(err, device.ErrUnsupported) {
		t.Errorf("setting them: %v", err)
	}
	if err := s.SetConfig(device.SerialConfig{DataBits: 9}); !errors.Is(err, kernel.ErrInvalidOption) {
		t.Errorf("9 bits: %v", err)
	}
	s.Close()
	s.Close()
	if _, err := s.Config(); err != kernel.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// Every setting reaches the system's bits, and comes back from them.
func TestSerialSettings(t *testing.T) {
	for bits := 5; bits <= 8; bits++ {
		for parity := device.NoParity; parity <= device.SpaceParity; parity++ {
			for i := range 8 {
				c := device.SerialConfig{Baud: 1200 * bits, DataBits: bits, Parity: parity, StopBits: 1 + i&1, HardFlow: i&2 != 0, SoftFlow: i&4 != 0}
				if got := device.Encode(c); got != c {
					t.Errorf("%+v became %+v", c, got)
				}
			}
		}
	}
	for _, c := range []device.SerialConfig{{Baud: -1}, {DataBits: 4}, {StopBits: 3}, {Parity: 5}} {
		if oe, ok := errors.AsType[*kernel.OptionError](c.Check()); !ok || !errors.Is(oe, kernel.ErrInvalidOption) {
			t.Errorf("%+v: %v", c, c.Check())
		}
	}
}

// A port that is open is busy, for privileged processes too. What is no port says so, and keeps no descriptor.
func TestSerialRefused(t *testing.T) {
	path, _ := line(t, "EXEC:cat")
	leaktest.KeepsDescriptors(t)
	s, err := device.OpenSerial(path, device.SerialConfig{})
	do(t, err)
	if _, err := device.OpenSerial(path, device.SerialConfig{}); !errors.Is(err, device.ErrBusy) {
		t.Errorf("the second: %v", err)
	}
	s.Close()
	for range 2 {
		s, err := device.OpenSerial(path, device.SerialConfig{Shared: true})
		do(t, err)
		defer s.Close()
	}
	file := filepath.Join(t.TempDir(), "file")
	touch(t, file)
	for path, want := range map[string]error{file: device.ErrNotSerial, file + "2": fs.ErrNotExist} {
		if _, err := device.OpenSerial(path, device.SerialConfig{}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

// A port that nobody refers to any more is closed, so that it can be opened again. Alone or shared, opening drops what came before.
func TestSerialForgotten(t *testing.T) {
	path, _ := line(t, "EXEC:cat")
	leaktest.KeepsDescriptors(t)
	for _, shared := range []bool{false, true} {
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY, 0)
		do(t, err)
		_, err = unix.Write(fd, []byte("before"))
		do(t, err)
		for n := 0; n < 6; _, _ = unix.Poll(nil, 1) {
			n, err = unix.IoctlGetInt(fd, unix.TIOCINQ)
			do(t, err)
		}
		s, err := device.OpenSerial(path, device.SerialConfig{Shared: shared})
		do(t, err)
		if n, _, err := s.Waiting(); n != 0 || err != nil {
			t.Errorf("SERIAL-1: shared %v: %d bytes wait, %v", shared, n, err)
		}
		do(t, unix.Close(fd))
		s = nil
		for err = device.ErrBusy; err != nil; _, _ = unix.Poll(nil, 1) {
			runtime.GC()
			if s, err = device.OpenSerial(path, device.SerialConfig{}); err != nil && !errors.Is(err, device.ErrBusy) {
				t.Fatal(err)
			}
		}
		s.Close()
	}
}

// Who shares a port keeps others from having it alone. Closing takes nothing from those who still have it: neither what has come, nor the
// settings, nor the system's flag. The last sets it back.
func TestSerialShared(t *testing.T) {
	path, _ := line(t, "EXEC:cat")
	keep, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	do(t, err)
	defer keep.Close()
	fd := int(keep.Fd())
	state := func() unix.Termios {
		tio, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
		do(t, err)
		return *tio
	}
	before := state()
	first, err := device.OpenSerial(path, device.SerialConfig{Shared: true})
	do(t, err)
	defer first.Close()
	if s, err := device.OpenSerial(path, device.SerialConfig{}); !errors.Is(err, device.ErrBusy) {
		t.Errorf("alone beside one that is shared: %v", err)
		if err == nil {
			s.Close()
		}
	}
	second, err := device.OpenSerial(path, device.SerialConfig{Shared: true, Baud: 19200})
	do(t, err)
	defer second.Close()
	both := state()
	_, err = keep.WriteString("hello")
	do(t, err)
	for n := 0; n < 5; _, _ = unix.Poll(nil, 1) {
		n, _, err = first.Waiting()
		do(t, err)
	}
	third, err := device.OpenSerial(path, device.SerialConfig{Shared: true, Baud: 19200})
	do(t, err)
	if n, _, err := first.Waiting(); n != 5 || err != nil {
		t.Errorf("a third who opens it has left %d bytes of 5, %v", n, err)
	}
	third.Close()
	do(t, unix.IoctlSetInt(fd, unix.TIOCEXCL, 0))
	check := func(want unix.Termios) {
		t.Helper()
		if n, err := unix.IoctlGetInt(fd, unix.TIOCINQ); n != 5 || err != nil {
			t.Errorf("%d bytes are left of 5, %v", n, err)
		}
		if on, err := unix.IoctlGetInt(fd, unix.TIOCGEXCL); on != 1 || err != nil {
			t.Errorf("the flag is %d, %v", on, err)
		}
		if state() != want {
			t.Errorf("the settings are %+v, want %+v", state(), want)
		}
	}
	second.Close()
	check(both)
	first.Close()
	check(before)
	alone, err := device.OpenSerial(path, device.SerialConfig{})
	do(t, err)
	defer alone.Close()
	if s, err := device.OpenSerial(path, device.SerialConfig{Shared: true}); !errors.Is(err, device.ErrBusy) {
		t.Errorf("shared beside one that is alone: %v", err)
		if err == nil {
			s.Close()
		}
	}
}

// SERIAL-2: the loss of the device, and the reactor's end, close it once, with the reason.
func TestSerialLoss(t *testing.T) {
	for _, how := range []string{"gone", "stopped", "aborted"} {
		for name, w := range testworld.Native() {
			t.Run(how+"/"+name, func(t *testing.T) {
				path, socat := line(t, "EXEC:cat")
				r := w.New(t, reactor.Config{})
				leaktest.KeepsDescriptors(t)
				s, e := attach(t, r, path, device.SerialConfig{})
				if _, err := s.Attach(r, e, nil); !errors.Is(err, kernel.ErrClosed) {
					t.Errorf("a second Attach: %v", err)
				}
				s.Close() // does nothing: the stream has it
				switch how {
				case "gone":
					do(t, socat.Process.Kill())
				case "stopped":
					r.Close()
				case "aborted":
					e.T.Abort()
				}
				if how != "stopped" {
					testworld.Until(t, func() bool { return len(e.lost) > 0 }, r)
				}
				want := map[string]error{"stopped": reactor.ErrStopped, "aborted": reactor.ErrAborted}[how]
				if len(e.lost) != 1 || want != nil && e.lost[0] != want || e.lost[0] == reactor.ErrClosed {
					t.Errorf("SERIAL-2: lost %v", e.lost)
				}
				if _, err := s.Config(); err != kernel.ErrClosed {
					t.Errorf("after the end: %v", err)
				}
				r.Close()
			})
		}
	}
}

// A simulated kernel takes no descriptors.
func TestSerialSimulated(t *testing.T) {
	path, _ := line(t, "EXEC:cat")
	s, err := device.OpenSerial(path, device.SerialConfig{})
	do(t, err)
	defer s.Close()
	for _, w := range testworld.Worlds() {
		if w.Simulated() {
			r := w.New(t, reactor.Config{})
			if _, err := s.Attach(r, new(end), nil); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("serial: %v", err)
			}
			if _, err := device.NewNotifier(r, device.NotifierConfig{}); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("inotify: %v", err)
			}
		}
	}
}
