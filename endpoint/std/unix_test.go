package std_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/whorl-go/whorl/endpoint"
	"github.com/whorl-go/whorl/endpoint/std"
	"github.com/whorl-go/whorl/kernel"
	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/testworld"
	"github.com/whorl-go/whorl/testworld/double"
)

// socketPath is a path at which nothing is, short enough for a socket.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "whorl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// A server listens on a path, with a lock file unless it is told not to; a client connects, and
// asks for the lock file if it is told to. Data and its end go through, however they are cut
// (EP-14, GRAM-12, GRAM-19, X-7).
func TestUNIX(t *testing.T) {
	for name, w := range testworld.Chunked() {
		for _, c := range []struct {
			listen, connect string
			refused         error
		}{
			{"unix:PATH", "unix:PATH:lockfile=1", nil},
			{"unix:PATH:660:5:1", "unix:PATH:timeout=3:lockfile=yes", nil},
			{"unix:address=PATH:lockfile=0", "unix:path=PATH:bindAddress=PATH.client", nil},
			{"unix:PATH:lockfile=0", "unix:PATH:lockfile=1", kernel.ErrNotLocked},
			{"unix:PATH:600:maxconnections=1:sndbuf=8192", "unix:PATH:sndbuf=8192", nil},
		} {
			t.Run(name+"/"+c.listen, func(t *testing.T) {
				path := socketPath(t)
				in := func(d string) string { return strings.ReplaceAll(d, "PATH", path) }
				r := w.New(t, reactor.Config{})
				var served, mine site
				port := listen(t, r, in(c.listen), &served)
				if port.Addr() != kernel.UNIXAddr(path) {
					t.Fatalf("listening on %v", port.Addr())
				}
				if !w.Simulated() {
					_, err := os.Lstat(path + ".lock")
					if locked := !strings.Contains(c.listen, "lockfile=0"); (err == nil) != locked {
						t.Errorf("GRAM-12: %s: the lock file: %v", c.listen, err)
					}
				}
				var got result
				client(t, in(c.connect)).Connect(r, &mine, got.done)
				until(t, r, func() bool { return got.calls > 0 })
				if !errors.Is(got.err, c.refused) {
					t.Fatalf("%s: %v", c.connect, got.err)
				}
				if c.refused != nil {
					return
				}
				until(t, r, func() bool { return len(served.built) == 1 })
				here, there := mine.built[0], served.built[0]
				here.T.Write([]byte("hello"))
				there.T.Write([]byte("welcome"))
				until(t, r, func() bool { return there.got == "hello" && here.got == "welcome" })
				there.T.Close()
				until(t, r, func() bool { return here.lost != nil && there.lost != nil })
				if here.lost != io.EOF || there.lost != reactor.ErrClosed {
					t.Errorf("lost %v and %v", here.lost, there.lost)
				}
			})
		}
	}
}

// The arguments have the values of kernel.UNIXOptions, and a description is written back as it
// was meant (EP-14, GRAM-12, GRAM-19).
func TestUNIXArguments(t *testing.T) {
	for in, want := range map[string]string{
		"unix:/run/x":                                 "unix:/run/x",
		"UNIX:/run/x:660:10:no":                       "unix:/run/x:mode=660:backlog=10:lockfile=no",
		"unix:address=/run/x:lockfile=1:owner=www":    "unix:/run/x:owner=www",
		`unix:\@abstract`:                             "unix:@abstract",
		`unix:/run/a\:b:mode=600:group=7:backlog=3`:   `unix:/run/a\:b:mode=600:backlog=3:group=7`,
		"unix:/run/x:maxconnections=5:acceptrate=100": "unix:/run/x:maxconnections=5:acceptrate=100",
	} {
		if got := server(t, in).(*std.UNIXServer).String(); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
	s := server(t, "unix:/run/x:660:10:no:owner=www:group=7").(*std.UNIXServer)
	if s.Path != "/run/x" || s.Mode != fs.FileMode(0o660) || s.Backlog != 10 || !s.NoLock || s.Owner != "www" || s.Group != "7" {
		t.Errorf("GRAM-12: %+v", s)
	}
	// Descriptors are passed if that is asked for, and only a UNIX place can be asked.
	if s := server(t, "unix:/run/x:descriptors=yes").(*std.UNIXServer); !s.Descriptors || s.String() != "unix:/run/x:descriptors=yes" {
		t.Errorf("%+v", s)
	}
	if c := client(t, "unix:/run/x:descriptors=yes").(*std.UNIXClient); !c.Descriptors || c.String() != "unix:/run/x:descriptors=yes" {
		t.Errorf("%+v", c)
	}
	if _, err := std.Schemes(nil).Server("tcp:80:descriptors=yes"); err == nil {
		t.Error("tcp: has descriptors=")
	}
	if _, err := std.Schemes(nil).Client("tcp:h:80:descriptors=yes"); err == nil {
		t.Error("tcp: has descriptors=")
	}
	if s := server(t, "unix:/run/x").(*std.UNIXServer); s.NoLock || s.Mode != 0 {
		t.Errorf("GRAM-12: without arguments %+v", s)
	}
	c := client(t, "unix:/run/x:timeout=5:lockfile=1:bindAddress=/run/y").(*std.UNIXClient)
	if c.Path != "/run/x" || c.Timeout != 5*time.Second || !c.CheckLock || c.Bind != "/run/y" || c.String() != "unix:/run/x:timeout=5:lockfile=yes:bindAddress=/run/y" {
		t.Errorf("GRAM-19: %+v", c)
	}
	if c := client(t, "unix:/run/x").(*std.UNIXClient); c.CheckLock || c.Timeout != 0 {
		t.Errorf("GRAM-19: without arguments %+v", c)
	}
}

// What cannot work is an ArgumentError that names the argument, when the description is read.
func TestUNIXArgumentErrors(t *testing.T) {
	long := strings.Repeat("x", 108)
	for in, argument := range map[string]string{
		"unix:": "address", "unix:" + long: "address", "unix:@": "address", "unix:/run/x:mode=888": "mode",
		"unix:/run/x:mode=1777": "mode", "unix:/run/x:mode=000": "mode", `unix:@x:owner=www`: "owner", `unix:@x:group=www`: "group", `unix:@x:mode=600`: "mode", "unix:/run/x:sndbuf=-1": "sndbuf", "unix:/run/x:lockfile=maybe": "lockfile",
	} {
		_, err := std.Schemes(nil).Server(in)
		if e, ok := errors.AsType[*endpoint.ArgumentError](err); !ok || e.Argument != argument {
			t.Errorf("%s: %v, want an error about %s", in, err, argument)
		}
	}
	for in, argument := range map[string]string{
		"unix:": "path", "unix:" + long: "path", "unix:/run/x:bindAddress=" + long: "bindAddress",
		"unix:@x:lockfile=1": "lockfile", "unix:/run/x:sndbuf=-1": "sndbuf", "unix:/run/x:timeout=soon": "timeout",
	} {
		_, err := std.Schemes(nil).Client(in)
		if e, ok := errors.AsType[*endpoint.ArgumentError](err); !ok || e.Argument != argument {
			t.Errorf("%s: %v, want an error about %s", in, err, argument)
		}
	}
	// The structs alone say the same, in time (EP-1).
	r, k := double.New(t, reactor.Config{})
	if _, err := (&std.UNIXServer{}).Listen(r, new(site)); !errors.Is(err, reactor.ErrListen) {
		t.Errorf("listening without a path: %v", err)
	}
	var got result
	(&std.UNIXClient{Path: "/run/x", Bind: long}).Connect(r, new(site), got.done)
	if got.calls != 0 {
		t.Error("EP-1: done was called inside Connect")
	}
	if err := r.Turn(0); err != nil || !errors.Is(got.err, reactor.ErrConnect) {
		t.Errorf("connecting from a bad path: %v", got.err)
	}
	for _, d := range k.Dials {
		if d.Err == nil {
			t.Errorf("it went on to dial %v", d.Addr)
		}
	}
}
