package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/whorl-go/whorl/internal/leaktest"
	"github.com/whorl-go/whorl/kernel/native"
)

func TestMain(m *testing.M) {
	leaktest.Overlap(10) // scripts mostly wait
	testscript.Main(m, map[string]func(){"whorl": main, "simtest": simTest})
}

// TestScripts runs the tool as its users do, on every kernel.
func TestScripts(t *testing.T) {
	t.Parallel()
	// Where goroutines meet: standard input and output, signals, and last handshakes.
	meet := []string{"exec", "forward", "connect", "datagrams", "terminal", "grace", "twosignals", "logreader", "tls"}
	for i, name := range native.Names() {
		if i == 1 {
			meet = meet[:8] // handshakes are slow, and have their goroutines whatever the kernel
		}
		files := scripts(t, "testdata/script", meet...)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runScripts(t, files, "WHORL_KERNEL="+name)
		})
	}
}

// TestSimScripts does it for worlds, which need no kernel. The seeds SEEDS find the planted
// mistake more than once.
func TestSimScripts(t *testing.T) {
	t.Parallel()
	runScripts(t, scripts(t, "testdata/sim", "crash"), "SEEDS=60..170")
}

// scripts are those in dir; under the race detector those named, in which goroutines meet.
func scripts(t *testing.T, dir string, meet ...string) (files []string) {
	t.Helper()
	all, err := filepath.Glob(dir + "/*.txt")
	if err != nil || len(all) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	if !raced {
		return all
	}
	for _, name := range meet {
		files = append(files, filepath.Join(dir, name+".txt"))
	}
	return files
}

func runScripts(t *testing.T, files []string, variable string) {
	testscript.Run(t, testscript.Params{
		Files:              files,
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, variable, "GORACE=atexit_sleep_ms=0")
			e.Values["holding"] = &holding{}
			return nil
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status":   status,
			"waitlog":  waitLog,
			"address":  address,
			"noise":    noiseFile,
			"hold":     hold,
			"release":  release,
			"aborted":  aborted,
			"many":     many,
			"issue":    issue,
			"silent":   silent,
			"hasty":    hasty,
			"refused":  refused,
			"freeport": freeGramPort,

			"jsonlines": jsonLines,
			"samehash":  sameHash,
		},
	})
}

// condition knows ipv6, for a machine that has ::1; root, for a script that may drop its
// rights; and restricted, for a system where port 900 is not for everyone.
func condition(name string) (bool, error) {
	switch name {
	case "ipv6":
		l, err := net.Listen("tcp", "[::1]:0")
		if err == nil {
			l.Close()
		}
		return err == nil, nil
	case "root":
		return os.Geteuid() == 0, nil
	case "restricted":
		text, err := os.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
		first, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return err == nil && first > 900, nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}

// status is status N PROGRAM [ARGS...]: the program ends with this status, and, if
// that is not 0, with one line on standard error and nothing on standard output.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N PROGRAM [ARGS...]")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = e.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("status %d, want %s", got, args[0])
	}
	out, said := ts.ReadFile("stdout"), ts.ReadFile("stderr")
	if got != 0 && (out != "" || strings.Count(said, "\n") != 1) {
		ts.Fatalf("printed %q and %q, want nothing and one line", out, said)
	}
}

// patience is for what must come.
const patience = 20 * time.Second

// waitLog is waitlog FILE PATTERN [COUNT]: it waits until so many lines of the
// file match.
func waitLog(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitlog FILE PATTERN [COUNT]")
	}
	matches(ts, args[0], args[1], lines(ts, args[2:]))
}

func lines(ts *testscript.TestScript, args []string) int {
	if len(args) == 0 {
		return 1
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	return n
}

func matches(ts *testscript.TestScript, file, pattern string, n int) (found [][][]byte) {
	re := regexp.MustCompile("(?m)" + pattern)
	var text []byte
	for end := time.Now().Add(patience); len(found) < n; time.Sleep(2 * time.Millisecond) {
		text, _ = os.ReadFile(ts.MkAbs(file)) // it may not be there yet
		found = re.FindAllSubmatch(text, -1)
		if time.Now().After(end) {
			ts.Fatalf("%s has %d lines like %q, want %d:\n%s", file, len(found), pattern, n, text)
		}
	}
	return found
}

// address is address FILE VAR...: it waits until so many ports are listened on,
// and sets the variables to their addresses, and VAR_PORT to the ports alone.
func address(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: address FILE VAR...")
	}
	for i, m := range matches(ts, args[0], `listening on (?:tcp|udp) ([^" ]+)"`, len(args)-1)[:len(args)-1] {
		addr := string(m[1])
		ts.Setenv(args[i+1], addr)
		ts.Setenv(args[i+1]+"_PORT", addr[strings.LastIndexByte(addr, ':')+1:])
	}
}

// noiseFile is noise FILE BYTES: it writes a file in which nothing repeats.
func noiseFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: noise FILE BYTES")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), noise(n), 0o666))
}

// holding are the connections of a script that stay.
type holding struct{ conns []net.Conn }

func holdingOf(ts *testscript.TestScript) *holding { return ts.Value("holding").(*holding) }

// hold is hold ADDR: it connects, and has one line echoed, so that the server has
// the connection for sure. It stays until release.
func hold(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: hold ADDR")
	}
	c, err := net.Dial("tcp", args[0])
	ts.Check(err)
	ts.Defer(func() { c.Close() })
	ts.Check(echoed(c, "hello\n"))
	h := holdingOf(ts)
	h.conns = append(h.conns, c)
}

// release is release: what hold holds still echoes, and is closed.
func release(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: release")
	}
	h := holdingOf(ts)
	for _, c := range h.conns {
		ts.Check(echoed(c, "still here\n"))
		c.Close()
	}
	h.conns = nil
}

// aborted is aborted: what hold holds is reset.
func aborted(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: aborted")
	}
	h := holdingOf(ts)
	for _, c := range h.conns {
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			ts.Fatalf("read: %v, want a reset", err)
		}
	}
	h.conns = nil
}

// many is many ADDR COUNT: so many connections at a time are echoed to.
func many(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: many ADDR COUNT")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for range n {
		hold(ts, false, args[:1])
	}
	release(ts, false, nil)
}

func echoed(c net.Conn, line string) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, line); err != nil {
		return err
	}
	got := make([]byte, len(line))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != line {
		return fmt.Errorf("sent %q, got %q (%w)", line, got, err)
	}
	return nil
}
