package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/whorl-go/whorl/reactor"
	"github.com/whorl-go/whorl/sim"
	"github.com/whorl-go/whorl/testworld"
)

func TestSeedRange(t *testing.T) {
	for text, want := range map[string][2]uint64{
		"": {0, 100}, "1": {0, 1}, "1000": {0, 1000}, "100..200": {100, 101}, "0..0": {0, 1}, "7..7": {7, 1},
	} {
		if first, count, err := (&simCommand{Seeds: text}).check(); first != want[0] || count != want[1] || err != nil {
			t.Errorf("%q is %d from %d on, and %v; want %v", text, count, first, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "x", "5..4", "1..", "..1", "1..2..3", "99999999999999999999"} {
		_, _, err := (&simCommand{Seeds: text}).check()
		if _, ok := errors.AsType[*usageError](err); !ok || !strings.Contains(err.Error(), text) {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

// Off a terminal progress is a line; in JSON it is an object.
func TestProgress(t *testing.T) { worlds(t, testProgress) }

func testProgress(t *testing.T, w testworld.World) {
	r := w.New(t, reactor.Config{})
	b := &batch{w: sim.World{Name: "w"}, r: r, count: 400, ran: 100, failed: 3, began: r.Now()}
	if got := standing(b, 10*time.Second); got != "100/400 seeds, 3 failed, 10 seeds/s, 30s left" {
		t.Errorf("standing: %s", got)
	}
	if got := bar(b, 10*time.Second); !strings.HasPrefix(got, "[#####...............] 100/400") {
		t.Errorf("bar: %s", got)
	}
	var text, object bytes.Buffer
	newProgress(&globals{}, &text, false, b).show()
	newProgress(&globals{LogLevel: "info"}, &object, true, b).show()
	if got := text.String(); !strings.HasPrefix(got, "w: 100/400 seeds") || strings.Count(got, "\n") != 1 || strings.Contains(got, "\r") {
		t.Errorf("text: %q", got)
	}
	if got := object.String(); !strings.Contains(got, `"ran":100,"seeds":400,"failed":3}`) {
		t.Errorf("object: %q", got)
	}
}

// A program that cannot be started, and one that says something else, are errors.
func TestFleetOfOthers(t *testing.T) {
	for name, w := range testworld.Native() {
		t.Run(name, func(t *testing.T) { testFleetOfOthers(t, w) })
	}
}

func testFleetOfOthers(t *testing.T, w testworld.World) {
	r := w.New(t, reactor.Config{})
	var got []verdict
	var err error
	over := false
	give := func(command func() *exec.Cmd) {
		got, err, over = nil, nil, false
		left := 2
		f := &fleet{r: r, command: command, done: func(v verdict) { got = append(got, v) }}
		f.next = func() (job, bool) { left--; return job{Seed: uint64(left)}, left >= 0 }
		f.over = func(e error) { over, err = true, e }
		f.run(1)
		until(t, r, func() bool { return over })
	}
	give(func() *exec.Cmd { return exec.Command("./no such program") })
	if err == nil || !strings.HasPrefix(err.Error(), "starting a process for seed 1: ") || got != nil {
		t.Errorf("not there: %v, %v", err, got)
	}
	// Ctrl-C goes to all; whether it is the end is not for a child to decide.
	tries := 0
	give(func() *exec.Cmd {
		if tries++; tries == 1 {
			return exec.Command("sh", "-c", "kill -INT $$")
		}
		return exec.Command("sh", "-c", `read job; echo '{"seed":1}'; read job; echo '{"seed":0}'; cat`)
	})
	if err != nil || tries != 2 || len(got) != 2 || got[0].Seed != 1 || got[0].Error != "" || got[1].Seed != 0 {
		t.Errorf("interrupted: %v, %v in %d tries", err, got, tries)
	}
	give(func() *exec.Cmd { return exec.Command("sh", "-c", "echo hello; exec sleep 1000") })
	if err != nil || len(got) != 2 || got[0].Seed != 1 || got[1].Seed != 0 || !strings.HasPrefix(got[1].Error, "the process that ran it is gone: signal: killed") {
		t.Errorf("something else: %v, %v", err, got)
	}
}

// What the Go runtime says of its end is found in what a process said.
func TestTail(t *testing.T) {
	var b tail
	for range 4000 {
		io.WriteString(&b, strings.Repeat("chatter ", 10)+"\n")
	}
	if len(b.text) > 3*said {
		t.Errorf("%d bytes are kept", len(b.text))
	}
	io.WriteString(&b, "fatal error: all is lost\n\ngoroutine 1\n")
	if got := b.String(); got != "fatal error: all is lost\n\ngoroutine 1" {
		t.Errorf("got %q", got)
	}
}

// A file is written whole or not at all, and a link to it stays one.
func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "page"), filepath.Join(dir, "link")
	write := func(text string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			io.WriteString(w, text)
			return err
		}
	}
	check := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(name); string(got) != want || err != nil {
			t.Errorf("it has %q, %v; want %q", got, err, want)
		}
		if list, _ := filepath.Glob(name + "*"); len(list) != 1 {
			t.Errorf("there are %q", list)
		}
	}
	if err := writeFile(name, write("one", nil)); err != nil {
		t.Fatal(err)
	}
	check("one")
	broken := errors.New("broken")
	if err := writeFile(name, write("two", broken)); err != broken {
		t.Errorf("failed with %v", err)
	}
	check("one")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(link, write("three", nil)); err != nil {
		t.Fatal(err)
	}
	check("three")
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link is gone")
	}
}

// What is no ordinary file is written to, and stays what it is.
func TestWriteFilePipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipe")
	if out, err := exec.Command("mkfifo", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	reader := exec.Command("cat", name)
	var got bytes.Buffer
	reader.Stdout = &got
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	defer reader.Process.Kill()
	err := writeFile(name, func(w io.Writer) error {
		_, err := io.WriteString(w, "page")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(name); err != nil || st.Mode()&os.ModeNamedPipe == 0 {
		t.Fatal("it is a pipe no more")
	}
	if err := reader.Wait(); err != nil || got.String() != "page" {
		t.Errorf("the reader got %q, %v", got.String(), err)
	}
}

// A failure that does not leave room on the disk is said, whoever runs it.
func TestFillFull(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no device that is always full")
	}
	err = fill(f, func(w io.Writer) error {
		_, err := io.WriteString(w, "page")
		return err
	})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk is %v", err)
	}
}

// The first failures shown are those of the lowest seeds, in order, whenever they came.
func TestFew(t *testing.T) {
	b := &batch{c: &simCommand{}, out: newPrinter(io.Discard), show: &progress{}}
	for _, seed := range []uint64{9, 4, 7, 1, 8} {
		b.done(verdict{Seed: seed, Error: "x"})
	}
	if len(b.few) != few || b.few[0].Seed != 1 || b.few[1].Seed != 4 || b.few[2].Seed != 7 || b.failed != 5 {
		t.Errorf("%d failed, shown are %v", b.failed, b.few)
	}
}

// Every seed of the range is handed out once, with the faults that were asked for.
func TestNext(t *testing.T) {
	faults := "drop=0.1"
	b := &batch{c: &simCommand{Faults: &faults, Once: true}, w: sim.World{Name: "w"}, first: 7, count: 2}
	for _, seed := range []uint64{7, 8} {
		if j, ok := b.next(); !ok || j.Seed != seed || j.World != "w" || j.Faults != &faults || !j.Once || j.Minimise {
			t.Errorf("got %+v, %v", j, ok)
		}
	}
	if j, ok := b.next(); ok {
		t.Errorf("one more: %+v", j)
	}
}

// The status is 0 only if all seeds were run, and held.
func TestReport(t *testing.T) {
	for _, x := range []struct {
		failed      uint64
		interrupted bool
		want        error
	}{{0, false, nil}, {1, false, errFailed}, {0, true, errFailed}} {
		b := &batch{c: &simCommand{JSON: true}, out: newPrinter(io.Discard), failed: x.failed, interrupted: x.interrupted}
		if err := b.report(); err != x.want {
			t.Errorf("%d failed, interrupted %v: %v", x.failed, x.interrupted, err)
		}
	}
}
