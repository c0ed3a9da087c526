package std_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/whorl-go/whorl/device"
	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"golang.org/x/sys/unix"
)

// nullModem are the two ends of a serial line.
func nullModem(t *testing.T) (a, b string) {
	t.Helper()
	if _, err := exec.LookPath("socat"); err != nil {
		t.Skip(err)
	}
	a, b = filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	cmd := exec.Command("socat", "PTY,raw,echo=0,link="+a, "PTY,raw,echo=0,link="+b)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for _, p := range []string{a, b} {
		for _, err := os.Stat(p); err != nil; _, err = os.Stat(p) {
			_, _ = unix.Poll(nil, 1)
		}
	}
	return a, b
}

// Both ends of a serial line as places: one connection each, with the settings of the description; factories
// start and stop as those of other places (EP-3).
func TestSerialPlaces(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			a, b := nullModem(t)
			r := w.New(t, reactor.Config{})
			served, mine := new(modem), new(modem)
			l, err := server(t, "serial:"+a+":115200:stopbits=2").Listen(r, served)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := server(t, "serial:"+a).Listen(r, new(modem)); !errors.Is(err, reactor.ErrListen) || !errors.Is(err, device.ErrBusy) {
				t.Errorf("a second server: %v", err)
			}
			var p reactor.Protocol
			client(t, "serial:"+b+":baudrate=250000").Connect(r, mine, func(q reactor.Protocol, err error) {
				if p = q; err != nil {
					t.Error(err)
				}
			})
			if p != nil || served.T != nil {
				t.Error("EP-1: inside the call")
			}
			testworld.Until(t, func() bool { return p != nil && served.T != nil }, r)
			if p != reactor.Protocol(mine) || served.built.String() != a || l.Addr().String() != a {
				t.Errorf("protocol %T, addresses %v, %v", p, served.built, l.Addr())
			}
			mine.T.Write([]byte("hello"))
			testworld.Until(t, func() bool { return string(served.got) == "hello" }, r)
			served.T.Write([]byte("world"))
			testworld.Until(t, func() bool { return string(mine.got) == "world" }, r)
			stopped := false
			l.StopListening(func(err error) { stopped = err == nil })
			testworld.Until(t, func() bool { return stopped }, r)
			mine.T.Close()
			testworld.Until(t, func() bool { return mine.lost != nil }, r)
			if mine.lost != reactor.ErrClosed || served.lost != nil || mine.started != 1 || mine.stopped != 1 || served.started != 1 || served.stopped != 1 {
				t.Errorf("client %+v, server %+v", mine, served)
			}
		})
	}
}

// Failures are told as those of other places are (EP-5, EP-6, EP-8), and leave no factory in use.
func TestSerialPlacesFail(t *testing.T) {
	a, _ := nullModem(t)
	for name, w := range testworld.Worlds() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{})
			failed := func(place string, f *modem, cancel bool) (err error) {
				stop := client(t, place).Connect(r, f, func(_ reactor.Protocol, e error) { err = e })
				if cancel {
					stop()
				}
				testworld.Until(t, func() bool { return err != nil }, r)
				if f.started != f.stopped {
					t.Errorf("%s: started %d times, stopped %d times", place, f.started, f.stopped)
				}
				return err
			}
			want := fs.ErrNotExist
			if w.Simulated() {
				want = errors.ErrUnsupported
			}
			if err := failed("serial:"+a+"none", new(modem), false); !errors.Is(err, reactor.ErrConnect) || !errors.Is(err, want) {
				t.Errorf("EP-5: %v", err)
			}
			if err := failed("serial:"+a, new(modem), true); !errors.Is(err, reactor.ErrCancelled) {
				t.Errorf("EP-6: %v", err)
			}
			if _, err := server(t, "serial:"+a+"none").Listen(r, new(modem)); !errors.Is(err, reactor.ErrListen) || !errors.Is(err, want) {
				t.Errorf("EP-8: %v", err)
			}
			if w.Simulated() {
				return
			}
			if err := failed("serial:"+a, &modem{refuse: true}, false); !errors.Is(err, reactor.ErrNoProtocol) {
				t.Errorf("EP-4: %v", err)
			}
			if _, err := server(t, "serial:"+a).Listen(r, new(modem)); err != nil { // and the reactor ends before its turn
				t.Error(err)
			}
			r.Close()
			s, err := device.OpenSerial(a, device.SerialConfig{})
			if err != nil {
				t.Fatalf("the port was left open: %v", err)
			}
			s.Close()
		})
	}
}

// A port that is open when the reactor has given that up (CORE-50) is closed again.
func TestSerialOpenTooLate(t *testing.T) {
	a, _ := nullModem(t)
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) {
			r := w.New(t, reactor.Config{ShutdownTimeout: time.Millisecond})
			begun, ended, opened := make(chan bool), make(chan bool), make(chan bool)
			std.OpenInThread(r, func() (*device.Serial, error) {
				close(begun)
				<-ended
				s, err := device.OpenSerial(a, device.SerialConfig{})
				if err != nil {
					t.Error(err)
				}
				close(opened)
				return s, err
			}, func(*device.Serial, error) { t.Error("CORE-50: a result after the end") })
			r.CallWhenRunning(func() {
				<-begun
				_ = r.Stop()
			})
			if err := r.Run(t.Context()); !errors.Is(err, reactor.ErrUnfinished) {
				t.Errorf("CORE-50: %v", err)
			}
			close(ended)
			<-opened
			for end := time.Now().Add(testworld.Limit); ; _, _ = unix.Poll(nil, 1) {
				s, err := device.OpenSerial(a, device.SerialConfig{})
				if err == nil {
					s.Close()
					return
				}
				if time.Now().After(end) {
					t.Fatalf("the port was left open: %v", err)
				}
			}
		})
	}
}

// The arguments, and what is wrong with some of them.
func TestSerialArguments(t *testing.T) {
	all := "serial:/dev/ttyS0:1200:bytesize=7:parity=even:stopbits=2:rtscts=yes:xonxoff=yes:exclusive=no"
	if got := server(t, all).String(); got != "serial:/dev/ttyS0:baudrate=1200:bytesize=7:parity=even:stopbits=2:rtscts=yes:xonxoff=yes:exclusive=no" {
		t.Errorf("%s", got)
	}
	for text, argument := range map[string]string{
		"serial:": "path", "serial:x:0x1": "baudrate", "serial:x:-5": "baudrate", "serial:x:bytesize=9": "bytesize", "serial:x:parity=z": "parity", "serial:x:stopbits=3": "stopbits",
	} {
		for _, err := range []error{second(std.Schemes(nil).Server(text)), second(std.Schemes(nil).Client(text))} {
			if e, ok := errors.AsType[*endpoint.ArgumentError](err); !ok || e.Argument != argument || e.Scheme != "serial" {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }
